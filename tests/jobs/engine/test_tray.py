"""What a child tells of a hand-over of several jobs, and what the main process takes back: neither believes a half."""

import mmap
import os
import signal
from threading import Thread
from types import SimpleNamespace

import pytest

from apps.jobs.engine import tray as trays
from apps.jobs.engine.tray import SIZE, Tray, Trays
from core import clock
from tests.support import memory
from tests.support.waiting import until

ROUNDS = 2000


@pytest.fixture
def tray():
    made = Tray()
    made.lay(5)
    made.open()
    return made


def forked(work):
    """Run in a child, which ends without a word; its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return pid


def test_what_was_told_is_taken_once_and_in_order(tray):
    for number in range(3):
        tray.begin(number)
        tray.end((number, "x" * number))
    first = tray.take(0)
    tray.begin(3)
    tray.end("the fourth")

    assert [(0, ""), (1, "x"), (2, "xx")] == first
    assert ["the fourth"] == tray.take(3)
    assert [] == tray.take(4)


def test_a_tray_that_is_laid_out_again_knows_nothing_of_the_last(tray):
    tray.begin(0)
    tray.end("old")
    tray.take(0)
    tray.recall()
    tray.lay(2)
    before = tray.begun(), tray.ended(), tray.running(), tray.open_seconds(), tray.take(0)
    tray.open()

    assert (0, 0, None, 0.0, []) == before
    assert [True, True, False] == [tray.begin(number) for number in range(3)]


def test_what_runs_is_told_with_its_own_time(tray, monkeypatch):
    now = SimpleNamespace(value=clock.elapsed())
    monkeypatch.setattr(trays, "clock", SimpleNamespace(elapsed=lambda: now.value))
    tray.open()
    nothing = tray.running()
    tray.begin(0)
    now.value += 3
    first = tray.running()
    tray.end("x")
    between = tray.running()
    tray.begin(1)
    now.value += 2

    assert (None, (0, 3.0), None, (1, 2.0)) == (nothing, first, between, tray.running())
    assert 5.0 == tray.open_seconds()


def test_after_a_recall_nothing_begins(tray):
    tray.begin(0)
    kept = tray.recall()

    assert 1 == kept
    assert (False, 1) == (tray.begin(1), tray.begun())
    assert (0, 1) == (tray.running()[0], tray.recall())


def test_a_second_recall_gives_back_nothing_that_the_first_has_taken(tray, monkeypatch):
    tray.begin(0)
    tray.recall()

    class Between:   # what a child passes between saying that it begins and reading whether it may
        def __enter__(self):
            monkeypatch.undo()
            tray.recall()

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(tray, "_barrier", Between())

    assert False is tray.begin(1)


def test_what_was_left_before_its_handler_is_neither_running_nor_begun(tray):
    tray.begin(0)
    tray.end("x")
    tray.begin(1)
    tray.leave(1)

    assert (1, None) == (tray.begun(), tray.running())


def test_without_room_nothing_is_told(tray):
    tray.begin(0)
    first = tray.end("x" * (SIZE - 100))
    tray.begin(1)
    second = tray.end("y" * 100)

    assert (True, False, 1) == (first, second, tray.ended())
    assert 1 == len(tray.take(0))


def test_the_endings_of_a_killed_writer_can_be_read():
    tray = Tray()
    tray.lay(1000)

    def tell():
        tray.open()
        for number in range(1000):
            tray.begin(number)
            tray.end((number, "x" * 500))
            if number == 600:
                signal.pause()

    pid = forked(tell)
    until(lambda: tray.ended() > 600, timeout=30)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)

    assert [(number, "x" * 500) for number in range(601)] == tray.take(0)
    assert (601, None) == (tray.begun(), tray.running())


@pytest.mark.parametrize("moment", range(20))
def test_a_writer_killed_anywhere_leaves_whole_endings_and_at_most_one_job_that_ran(moment):
    tray = Tray()
    tray.lay(100_000)

    def tell():
        tray.open()
        for number in range(100_000):
            tray.begin(number)
            tray.end((number, "x" * (number % 7)))

    pid = forked(tell)
    until(lambda: tray.ended() > 100 * moment, timeout=30)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    told = tray.take(0)

    assert [(number, "x" * (number % 7)) for number in range(len(told))] == told
    assert tray.begun() - len(told) in (0, 1)


def test_no_job_is_both_begun_and_taken_back():
    told, go = os.pipe(), os.pipe()
    tray = Tray()

    def begin():
        while os.read(go[0], 1):
            tray.open()
            begun = 0
            while begun < 50 and tray.begin(begun):
                tray.end(None)
                begun += 1
            os.write(told[1], bytes([begun]))

    pid = forked(begin)
    kept, begun = [], []
    for number in range(ROUNDS):
        tray.lay(50)
        os.write(go[1], b"x")
        while tray.begun() < number % 40:
            pass
        kept.append(tray.recall())
        kept[-1] = min(kept[-1], tray.recall(), tray.recall())
        begun.append(os.read(told[0], 1)[0])
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    [os.close(each) for each in (*told, *go)]

    assert [] == [(least, most) for most, least in zip(kept, begun, strict=True) if least > most]
    assert any(each < 50 for each in begun)


def settled():
    return False


def unsettled():
    return True


def test_a_tray_is_lent_to_one_hand_over_at_a_time():
    lent = Trays(count=2)
    first, second = lent.get(), lent.get()
    none = lent.left()
    lent.put(first, needed=settled)

    assert (False, True) == (none, lent.left())
    assert (first, {0, 1}) == (lent.get(), {first, second})


def test_a_tray_rests_until_what_was_told_in_it_is_settled():
    lent, told = Trays(count=3), ["an ending"]
    first, second = lent.get(), lent.get()
    lent.put(first, needed=lambda: bool(told))
    other = lent.get()
    lent.put(other, needed=settled)
    again = lent.get()
    told.clear()

    assert {first, second, other} == {0, 1, 2}
    assert (other, first) == (again, lent.get())


def test_a_tray_that_comes_back_while_another_is_lent_is_not_lost():
    lent = Trays(count=3)
    first, second, _third = lent.get(), lent.get(), lent.get()
    returning = Thread(target=lent.put, args=(second,), kwargs={"needed": settled})

    class Looked(list):
        looks = 0

        def __iter__(self):
            yield from super().__iter__()
            self.looks += 1
            if self.looks == 2:   # all were seen, and the list of those that still rest is about to be kept
                returning.start()
                returning.join(0.1)

    lent._resting = Looked([(first, settled)])
    again = lent.get()
    returning.join(30)

    assert (first, second) == (again, lent.get())


def test_before_there_is_none_the_tray_that_has_rested_the_longest_is_lent():
    lent = Trays(count=2)
    first, second = lent.get(), lent.get()
    lent.put(second, needed=unsettled)
    lent.put(first, needed=unsettled)

    assert (True, second, first, False) == (lent.left(), lent.get(), lent.get(), lent.left())


@pytest.fixture
def file():
    with memory.folder() as folder, (folder / "trays").open("w+b") as opened:
        opened.truncate(3 * SIZE)
        yield opened.fileno()


def in_file(file, *, at=0):
    return Tray(memoryview(mmap.mmap(file, SIZE, offset=at)), file, offset=at)


def test_trays_in_a_file_lie_beside_each_other_and_outlive_who_has_written(file):
    lent = Trays(count=2)
    lent.move(file, offset=SIZE)

    def tell():
        for number in range(2):
            lent[number].lay(100)
            lent[number].open()
            for job in range(100):
                lent[number].begin(job)
                lent[number].end((number, job, "x" * 5000))

    os.waitpid(forked(tell), 0)

    assert [(number, job, "x" * 5000) for number in range(2) for job in range(100)] == [
        told for number in range(2) for told in in_file(file, at=(1 + number) * SIZE).take(0)
    ]


def full(*_):
    raise OSError(28, "No space left on device")


@pytest.fixture(params=["no room", "no more than others need"])
def nowhere(request):
    """Leave a file's system no room from now on."""
    if request.param == "no room":
        return lambda monkeypatch: monkeypatch.setattr(os, "posix_fallocate", full)
    nearly = SimpleNamespace(f_bavail=24, f_blocks=100)
    return lambda monkeypatch: monkeypatch.setattr(os, "fstatvfs", lambda _file: nearly)


def test_where_the_file_has_no_room_nothing_is_told_and_the_writer_lives(file, monkeypatch, nowhere):
    made = in_file(file)
    made.lay(5)
    made.open()
    nowhere(monkeypatch)
    began = made.begin(0), made.end("x" * trays.GROWTH), made.ended()

    assert (True, False, 0) == began
    assert (True, ["small"]) == (made.end("small"), made.take(0))
    with pytest.raises(OSError, match="no room"):
        in_file(file, at=SIZE)


def test_trays_that_found_no_room_lie_where_they_lay(file, monkeypatch, nowhere):
    lent = Trays(count=1)
    before = lent[0]
    nowhere(monkeypatch)
    with pytest.raises(OSError, match="no room"):
        lent.move(file, offset=0)

    assert before is lent[0]
