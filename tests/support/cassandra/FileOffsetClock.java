import java.nio.file.*;
import org.apache.cassandra.utils.Clock;

/** Wall clock = system clock + the offset in ms found in the file -Dlatchwork.clock.file (read again every 100 ms). */
public class FileOffsetClock implements Clock {
    private final Path file = Paths.get(System.getProperty("latchwork.clock.file"));
    private volatile long offset, readAt = Long.MIN_VALUE;

    private long offset() {
        long now = System.nanoTime();
        if (readAt == Long.MIN_VALUE || now - readAt > 100_000_000L) {
            readAt = now;
            try { offset = Long.parseLong(new String(Files.readAllBytes(file)).trim()); }
            catch (Exception e) { /* half-written: keep the last offset */ }
        }
        return offset;
    }

    public long nanoTime() { return System.nanoTime(); }
    public long currentTimeMillis() { return System.currentTimeMillis() + offset(); }
}
