import pytest

from core.devserver import addresses
from core.devserver.cassandra.node import Cassandra
from core.devserver.cassandra.programs import Programs
from core.devserver.postgres import Postgres
from core.devserver.stores import AlreadyRunning, Given, Stores, beside, held
from core.devserver.valkey import Valkey

EVERYTHING = {"database_url": "postgresql://u@db/x", "broker_url": "redis://b/3", "locks_url": "postgresql://locks"}
DATABASE, BROKER, CACHE = "postgresql://u@db/x", "redis://broker:6379/3", "redis://cache:6379/0"


def kinds(tmp_path, **given):
    return {type(server) for server in Stores(data_dir=tmp_path, given=Given(**given)).servers}


@pytest.mark.parametrize(
    ("given", "started"),
    [
        ({}, {Postgres, Valkey}),
        ({"database_url": DATABASE}, {Valkey}),
        ({"broker_url": BROKER}, {Postgres}),                       # its next database is the cache
        ({"broker_url": "amqp://broker"}, {Postgres, Valkey}),      # for the cache alone
        ({"broker_url": "amqp://broker", "cache_url": CACHE}, {Postgres}),
        ({"cache_url": CACHE}, {Postgres, Valkey}),
        ({"database_url": DATABASE, "broker_url": BROKER, "cache_url": CACHE}, set()),
    ],
)
def test_only_what_is_not_given_is_started(tmp_path, given, started):
    assert started == kinds(tmp_path, **given)


@pytest.mark.parametrize(
    ("broker", "cache"),
    [
        ("redis://:p%40ss@h:6379/0", "redis://:p%40ss@h:6379/1"),
        ("redis://h", "redis://h/1"),
        ("rediss://h/3?ssl_cert_reqs=none", "rediss://h/4?ssl_cert_reqs=none"),
        ("amqp://h/vhost", ""),
        ("sentinel://h:26379", ""),
        ("", ""),
    ],
)
def test_the_cache_stands_beside_a_broker_that_is_a_redis(broker, cache):
    assert cache == beside(broker)


def test_all_are_started_and_their_addresses_written_for_everybody(tmp_path):
    stores = Stores(data_dir=tmp_path, given=Given())
    found = stores.start(meanwhile=lambda: None)
    ready = [server.is_ready() for server in stores.servers]
    stores.stop()

    assert ([True, True], found) == (ready, addresses.read(tmp_path))
    assert 0o600 == (tmp_path / addresses.FILE).stat().st_mode & 0o777
    assert [False, False] == [server.running for server in stores.servers]


def test_what_was_given_is_passed_on(tmp_path):
    stores = Stores(data_dir=tmp_path, given=Given(database_url=DATABASE, broker_url=BROKER))
    found = stores.start(meanwhile=lambda: None)

    assert (DATABASE, BROKER, "redis://broker:6379/4") == (found.database_url, found.broker_url, found.cache_url)


def test_a_node_for_the_locks_is_started_when_there_shall_be_one(tmp_path):
    programs = Programs(java=tmp_path / "java", jars=(), folder=tmp_path)
    stores = Stores(data_dir=tmp_path, given=Given(), cassandra=programs)
    node = next(server for server in stores.servers if isinstance(server, Cassandra))
    node.port = 9042

    assert {Cassandra, Postgres, Valkey} == {type(server) for server in stores.servers}
    assert "cassandra://127.0.0.1:9042/latchwork_locks" == node_address(stores)
    assert "postgresql://locks" == Stores(data_dir=tmp_path, given=Given(**EVERYTHING)).addresses().locks_url


def node_address(stores):
    """Return where the locks are, without the other servers, which do not run."""
    stores.servers = [server for server in stores.servers if isinstance(server, Cassandra)]
    return stores.addresses().locks_url


def test_one_runner_holds_the_data_folder(tmp_path):
    with held(tmp_path), pytest.raises(AlreadyRunning, match="in use by process"), held(tmp_path):
        pass
    with held(tmp_path):
        pass
