"""How long a lease is believed in, by its holder and by those who wait for its end."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The two sides of one bet: clocks run at nearly the same rate.

    The holder counts from before it asked and stops early; the observer counts from after it saw and waits longer. As long
    as no two clocks differ in rate by more than `rate_error`, both together exclude that they overlap, whatever the clocks say.
    """

    rate_error: float = 0.01
    """How much faster one clock may run than another; quartz keeps 0.0001, so this is generous."""
    margin_seconds: float = 0.1
    """How long a holder that was told may take to stop."""
    patience_seconds: float = 0.05

    def held_until(self, *, sent: float, lease_seconds: float) -> float:
        """Return until when a holder may believe in what it asked for at `sent`."""
        return sent + lease_seconds - self.rate_error * lease_seconds - self.margin_seconds

    def dead_from(self, *, seen: float, lease_seconds: float) -> float:
        """Return from when on a version first seen at `seen`, and not renewed since, may be taken over."""
        return seen + lease_seconds + self.rate_error * lease_seconds + self.patience_seconds
