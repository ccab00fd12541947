from pathlib import Path

import pytest
import redis

from core.devserver.valkey import NO_RETRY, Valkey


@pytest.fixture
def store(tmp_path):
    own = Valkey(data_dir=tmp_path / "with blanks").start()
    yield own
    own.kill()


def test_it_is_valkey_9(store):
    with store.client() as client:
        assert "9" == client.info("server")["valkey_version"].split(".")[0]


def test_what_was_written_survives_a_kill(store):
    with store.client() as client:
        client.set("kept", "yes")
    store.kill()
    store.start()

    with store.client() as client:
        assert b"yes" == client.get("kept")


def test_nobody_gets_in_without_the_password(store):
    with redis.Redis(port=store.port, retry=NO_RETRY) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()


def test_the_password_is_on_no_command_line(store):
    assert store.password.encode() not in Path(f"/proc/{store.process.pid}/cmdline").read_bytes()


def test_a_full_broker_refuses_and_forgets_nothing(store):
    with store.client() as client:
        assert {"maxmemory-policy": "noeviction", "appendfsync": "everysec"} == client.config_get(
            "maxmemory-policy", "appendfsync",
        )


def test_a_stalled_server_answers_nobody_and_a_resumed_one_does(store):
    store.stall()
    stalled = store.is_ready()
    store.resume()

    assert (False, True) == (stalled, store.is_ready())
