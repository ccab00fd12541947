"""Where a worker's trays outlive it: found by those who may, when nothing of the worker lives, and never before."""

import errno
import os
import signal
import time

import pytest
from django.db import connections

from apps.jobs.engine import shelf
from apps.jobs.engine.board import Board
from apps.jobs.engine.tray import Trays
from core.ids import uuid7
from tests.jobs.engine.test_tray import forked
from tests.support import memory
from tests.support.waiting import until

LONG_AGO = time.time() - 2 * shelf.OLD_SECONDS


@pytest.fixture
def folder():
    with memory.folder() as made:
        yield made


def dead(folder, *, told=("an ending",), worker=None, begun=()):
    """Leave the shelf of a worker that was killed."""

    def live():
        board, trays = Board(), Trays(count=2)
        mine = shelf.put_up(folder, board, trays)
        if worker is not None:
            mine.sign(worker)
        trays[1].lay(len(told))
        trays[1].open()
        for each in told:
            trays[1].end(each)
        for each in begun:
            board.begin(board.take(), each)
        os.kill(os.getpid(), signal.SIGKILL)

    _pid, status = os.waitpid(forked(live), 0)
    assert signal.SIGKILL == status


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_a_killed_worker_has_told_is_found_with_its_name_and_then_gone(folder):
    worker = uuid7()
    dead(folder, told=("first", "second"), worker=worker)
    dead(folder)
    told = {}
    for each in shelf.abandoned(folder):
        told[each.signed()] = each.told()
        each.take_down()
        each.leave()

    assert {worker: ["first", "second"], None: ["an ending"]} == told
    assert [] == names(folder)


def test_it_tells_which_jobs_had_begun(folder):
    begun = {1, 2**40}
    dead(folder, begun=begun)
    (found,) = shelf.abandoned(folder)

    assert begun == found.begun()


def test_a_shelf_is_nobodys_while_any_process_of_its_worker_lives(folder):
    reading, writing = os.pipe()

    def live():
        shelf.put_up(folder, Board(), Trays(count=1))
        os.write(writing, forked(signal.pause).to_bytes(4, "big"))
        signal.pause()

    main = forked(live)
    child = int.from_bytes(os.read(reading, 4), "big")
    try:
        living = list(shelf.abandoned(folder))
    finally:
        os.kill(main, signal.SIGKILL)
        os.waitpid(main, 0)
        orphaned = list(shelf.abandoned(folder))
        os.kill(child, signal.SIGKILL)
    found = until(lambda: list(shelf.abandoned(folder)), timeout=30)
    twice = list(shelf.abandoned(folder))

    assert ([], [], 1, []) == (living, orphaned, len(found), twice)


def test_what_one_lets_go_of_another_finds(folder):
    dead(folder)
    (found,) = shelf.abandoned(folder)
    found.leave()

    assert [["an ending"]] == [each.told() for each in shelf.abandoned(folder)]


@pytest.mark.parametrize("other", ["database", "layout"])
def test_what_is_of_another_database_or_layout_is_left_alone_until_nobody_has_wanted_it_for_a_day(folder, monkeypatch, other):
    dead(folder)
    (path,) = folder.iterdir()
    if other == "database":
        monkeypatch.setitem(connections["default"].settings_dict, "NAME", "another")
    else:
        monkeypatch.setattr(shelf, "LAYOUT", "another")
    found, before = list(shelf.abandoned(folder)), names(folder)
    os.utime(path, (LONG_AGO, LONG_AGO))

    assert ([], [path.name]) == (found, before)
    assert ([], []) == (list(shelf.abandoned(folder)), names(folder))


def test_however_long_a_worker_lives_its_file_is_not_an_old_one(folder):
    mine = shelf.put_up(folder, Board(), Trays(count=1))
    os.utime(mine.path, (LONG_AGO, LONG_AGO))
    mine.touch()
    mine.take_down_old()

    assert [mine.path.name] == names(folder)


@pytest.mark.parametrize("way", ["open to others", "a link", "a pipe", "somebody else's"])
def test_a_file_that_may_be_somebody_elses_is_not_believed(folder, way):
    dead(folder)
    (path,) = folder.iterdir()
    match way:
        case "open to others":
            path.chmod(0o644)
        case "a link":
            path.symlink_to(path.rename(folder / "elsewhere"))
        case "a pipe":
            path.unlink()
            os.mkfifo(path, 0o600)
        case _:
            if os.geteuid():
                pytest.skip("only root can give a file away")
            os.chown(path, 12345, 12345)

    assert [] == list(shelf.abandoned(folder))


def test_a_shelf_that_is_taken_down_leaves_nothing_and_its_trays_can_still_be_used_and_grow(folder):
    trays = Trays(count=1)
    shelf.put_up(folder, Board(), trays).take_down()
    trays[0].lay(1)
    trays[0].open()
    trays[0].end("x" * 500_000)

    assert ([], ["x" * 500_000]) == (names(folder), trays[0].take(0))


@pytest.mark.parametrize("lack", ["folder", "room", "function", "name"])
def test_where_there_is_no_place_there_is_no_shelf_and_the_trays_work(folder, monkeypatch, lack):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    match lack:
        case "room":
            monkeypatch.setattr(os, "posix_fallocate", full)
        case "function":
            monkeypatch.delattr(os, "posix_fallocate")
        case "name":
            monkeypatch.setattr(type(folder), "rename", full)
    trays = Trays(count=1)
    put_up = shelf.put_up(folder / "none" if lack == "folder" else folder, Board(), trays)
    trays[0].lay(1)
    trays[0].open()
    trays[0].end("told")

    assert (None, [], ["told"]) == (put_up, names(folder), trays[0].take(0))
    assert [] == list(shelf.abandoned(folder / "none"))
