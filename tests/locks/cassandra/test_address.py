"""The address of a cluster as operators write it."""

from pathlib import Path

import pytest

from locks.stores.cassandra import Address
from locks.stores.cassandra.address import FORM, WrongAddress


def test_a_short_address_has_the_usual_rest():
    expected = Address(hosts=("db1", "db2"), keyspace="locks", port=9042, local=False, attempt_seconds=2.0)

    assert expected == Address.parse("cassandra://db1,db2/locks")


def test_everything_can_be_said():
    expected = Address(
        hosts=("db1", "db2"), keyspace="prod_locks", port=9142, user="app", password="p@ss", datacenter="dc1", local=True,
        attempt_seconds=3.5, tls=Path("/etc/ca.pem"),
    )

    given = "cassandra://app:p%40ss@db1:9142,db2/prod_locks?datacenter=dc1&level=local&attempt_seconds=3.5&tls=/etc/ca.pem"
    assert expected == Address.parse(given)


def test_the_levels_go_together():
    levels = [(found.serial, found.quorum) for found in (Address.parse("cassandra://a/k"), Address.parse("cassandra://a/k?level=local"))]

    assert [("SERIAL", "QUORUM"), ("LOCAL_SERIAL", "LOCAL_QUORUM")] == levels


@pytest.mark.parametrize(("url", "named"), [
    ("postgresql://a/locks", "postgresql"), ("cassandra://a", "keyspace"), ("cassandra://a/My-Keyspace", "My-Keyspace"),
    ("cassandra:///locks", "no host"), ("cassandra://a:x/locks", "a:x"), ("cassandra://a:1,b:2/locks", "different ports"),
    ("cassandra://a/locks?rf=3", "rf"), ("cassandra://a/locks?level=quorum", "quorum"),
    ("cassandra://a/locks?attempt_seconds=soon", "soon"), ("cassandra://a/locks?attempt_seconds=0", "0"),
])
def test_a_wrong_address_says_what_is_wrong_and_how_one_looks(url, named):
    with pytest.raises(WrongAddress) as raised:
        Address.parse(url)

    assert (True, True) == (named in str(raised.value), FORM in str(raised.value))
