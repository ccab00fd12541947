import os
import signal
from pathlib import Path

import psycopg
import pytest

from core.devserver import child, ports, server
from core.devserver.postgres import NAME, SETTINGS, Postgres
from core.devserver.server import StoreError
from tests.support.session import FAST
from tests.support.waiting import until


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    own = Postgres(data_dir=tmp_path_factory.mktemp("shared"), settings=FAST).start()
    yield own
    own.kill()


@pytest.fixture
def store(shared):
    """A server that a test may treat as it likes."""
    yield shared
    shared.resume()
    if not shared.running:
        shared.start()


def rows(store):
    with store.connect() as connection:
        return [number for (number,) in connection.execute("SELECT n FROM kept ORDER BY n").fetchall()]


def keep(store, *numbers):
    with store.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS kept")
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept SELECT unnest(%s::int[])", [list(numbers)])


def test_it_is_postgresql_18_with_a_database_of_ours(store):
    with store.connect() as connection:
        version, name = connection.execute("SELECT current_setting('server_version_num'), current_database()").fetchone()

    assert ("18", NAME) == (version[:2], name)


def test_nobody_gets_in_without_the_password(store):
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(store.url().replace(store.password, "guessed"))


def test_what_is_committed_survives_a_kill(store):
    keep(store, 1, 2, 3)
    store.kill()
    store.start()

    assert [1, 2, 3] == rows(store)


def test_a_restart_keeps_data_and_port(store):
    keep(store, 7)
    before = store.port
    store.restart()

    assert ([7], before) == (rows(store), store.port)


def test_a_stalled_server_answers_nobody_and_a_resumed_one_does(store):
    store.stall()
    stalled = store.is_ready()
    store.resume()

    assert (False, True) == (stalled, store.is_ready())


def test_a_stalled_server_can_be_stopped(store):
    store.stall()
    store.stop()

    assert not store.running


def test_a_lock_file_of_a_server_that_is_no_more_is_no_hindrance(store):
    store.kill()
    pid_file = store.folder / "postmaster.pid"
    lines = pid_file.read_text(encoding="utf-8").splitlines()
    other = child.start(["sleep", "600"], cwd=Path("/"), account=store.account)
    pid_file.write_text("\n".join([str(other.pid), *lines[1:]]), encoding="utf-8")   # its number is another's now
    store.start()
    other.kill()
    other.wait()

    assert store.is_ready()


def test_a_server_that_runs_on_the_same_data_is_named(store, monkeypatch):
    monkeypatch.setattr(server, "LEFTOVER_SECONDS", 0.2)

    with pytest.raises(StoreError, match=f"already runs on .* as process {store.process.pid}"):
        Postgres(data_dir=store.data_dir, settings=FAST).start()


def test_a_server_that_is_about_to_end_is_waited_for(store):
    store.process.send_signal(signal.SIGINT)
    second = Postgres(data_dir=store.data_dir, settings=FAST).start()
    ready = second.is_ready()
    second.stop()

    assert ready


def test_a_start_that_fails_shows_the_end_of_the_log(tmp_path):
    broken = Postgres(data_dir=tmp_path, settings={**FAST, "shared_buffers": "much"})

    with pytest.raises(StoreError, match=r'(?s)PostgreSQL ended with status 1.*invalid value for parameter "shared_buffers"'):
        broken.start()


def test_a_start_that_was_interrupted_leaves_nothing_half_done(tmp_path):
    half = tmp_path / "postgres.part" / "cluster"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n", encoding="utf-8")
    own = Postgres(data_dir=tmp_path, settings=FAST).start()
    ready = own.is_ready()
    own.kill()

    assert (True, False) == (ready, half.parent.exists())


def test_it_runs_in_a_deep_folder_with_blanks_that_only_its_owner_may_enter(tmp_path):
    closed = tmp_path / "closed to others"
    closed.mkdir(mode=0o700)
    own = Postgres(data_dir=closed / ("a long name " * 10).strip(), settings=FAST).start()
    with own.connect() as connection:
        answer = connection.execute("SELECT 1").fetchone()
    owner = Path(f"/proc/{own.process.pid}").stat().st_uid
    own.kill()

    assert ((1,), own.account[0] if own.account else os.geteuid()) == (answer, owner)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_leaves_a_users_data_to_that_user(tmp_path):
    own = Postgres(data_dir=tmp_path, settings=FAST).start()
    own.stop()
    for path in [own.folder, *own.folder.rglob("*")]:
        os.chown(path, 12_345, 12_345)
    own.start()
    runs_as = Path(f"/proc/{own.process.pid}").stat().st_uid
    own.kill()

    assert 12_345 == runs_as


def test_two_data_folders_never_meet(shared, tmp_path):
    other = Postgres(data_dir=tmp_path, settings=FAST).start()
    keep(shared, 1)
    keep(other, 2)
    seen = rows(shared), rows(other)
    other.kill()

    assert ([1], [2]) == seen
    assert shared.port != other.port


def test_somebody_who_is_faster_at_the_port_gets_it(tmp_path, monkeypatch):
    own = Postgres(data_dir=tmp_path, settings=FAST)
    own.data_dir.mkdir(exist_ok=True)
    port = ports.keep(tmp_path, "postgres")
    monkeypatch.setattr(ports, "is_free", lambda number, **_: number != port or own.process is None)
    with ports.socket.socket() as faster:
        faster.bind((ports.HOST, port))
        faster.listen()
        own.start()
        ready, chosen = own.is_ready(), own.port
    own.kill()

    assert ready
    assert port != chosen


def test_by_default_a_commit_is_on_disk_before_it_is_answered():
    assert ("on", "on", None) == (SETTINGS["fsync"], SETTINGS["synchronous_commit"], SETTINGS.get("full_page_writes"))


def test_every_process_of_a_killed_server_ends(store):
    processes = store._tree()
    store.kill()

    assert len(processes) > 3
    until(lambda: not any(process.is_running() and process.status() != "zombie" for process in processes))
