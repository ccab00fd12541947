"""Where a worker's trays outlive it: found by those who may, when nothing of the worker lives, and never before."""

import os
import signal

import pytest
from django.db import connections

from apps.jobs.engine import shelf
from apps.jobs.engine.board import Board
from apps.jobs.engine.tray import Trays
from core.ids import uuid7
from tests.support.waiting import until


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(shelf, "FOLDER", tmp_path)
    return tmp_path


def dead(*, told=("an ending",), worker=None, begun=()):
    """Leave the shelf of a worker that was killed."""
    pid = os.fork()
    if pid == 0:
        board, trays = Board(), Trays(count=2)
        mine = shelf.put_up(board, trays)
        if worker is not None:
            mine.sign(worker)
        trays[1].lay(len(told))
        trays[1].open()
        for each in told:
            trays[1].end(each)
        for each in begun:
            board.begin(board.take(), *each)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_a_killed_worker_has_told_is_found_with_its_name_and_then_gone(folder):
    worker = uuid7()
    dead(told=("first", "second"), worker=worker)
    dead()
    found = list(shelf.abandoned())
    told = {each.signed(): each.told() for each in found}
    for each in found:
        each.take_down()

    assert {worker: ["first", "second"], None: ["an ending"]} == told
    assert [] == names(folder)


def test_it_tells_which_jobs_had_begun(folder):
    begun = {(str(uuid7()), number) for number in (1, 2**40)}
    dead(begun=begun)
    (found,) = shelf.abandoned()

    assert begun == found.begun()


def test_a_shelf_is_nobodys_while_any_process_of_its_worker_lives(folder):
    reading, writing = os.pipe()
    main = os.fork()
    if main == 0:
        shelf.put_up(Board(), Trays(count=1))
        child = os.fork()
        if child == 0:
            signal.pause()
        os.write(writing, child.to_bytes(4, "big"))
        signal.pause()
    child = int.from_bytes(os.read(reading, 4), "big")
    living = list(shelf.abandoned())
    os.kill(main, signal.SIGKILL)
    os.waitpid(main, 0)
    orphaned = list(shelf.abandoned())
    os.kill(child, signal.SIGKILL)
    found = until(lambda: list(shelf.abandoned()), timeout=30)
    twice = list(shelf.abandoned())

    assert ([], [], 1, []) == (living, orphaned, len(found), twice)


def test_what_one_lets_go_of_another_finds(folder):
    dead()
    (found,) = shelf.abandoned()
    found.leave()

    assert [["an ending"]] == [each.told() for each in shelf.abandoned()]


def test_workers_of_another_database_are_left_alone(folder, monkeypatch):
    dead()
    monkeypatch.setitem(connections["default"].settings_dict, "NAME", "another")

    assert ([], 1) == (list(shelf.abandoned()), len(names(folder)))


@pytest.mark.parametrize("way", ["open to others", "a link", "a pipe", "somebody else's"])
def test_a_file_that_may_be_somebody_elses_is_not_believed(folder, way):
    dead()
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

    assert [] == list(shelf.abandoned())


def test_a_shelf_that_is_taken_down_leaves_nothing_and_its_trays_can_still_be_used(folder):
    trays = Trays(count=1)
    shelf.put_up(Board(), trays).take_down()
    trays[0].lay(1)
    trays[0].open()
    trays[0].end("told")

    assert ([], ["told"]) == (names(folder), trays[0].take(0))


@pytest.mark.parametrize("lack", ["folder", "room", "function"])
def test_where_there_is_no_place_the_trays_stay_where_they_were(folder, monkeypatch, lack):
    def full(*_):
        raise OSError(28, "No space left on device")

    if lack == "folder":
        monkeypatch.setattr(shelf, "FOLDER", folder / "none")
    elif lack == "room":
        monkeypatch.setattr(os, "posix_fallocate", full)
    else:
        monkeypatch.delattr(os, "posix_fallocate")
    trays = Trays(count=1)
    before = trays[0]

    assert (None, before, []) == (shelf.put_up(Board(), trays), trays[0], names(folder))
    assert [] == list(shelf.abandoned())
