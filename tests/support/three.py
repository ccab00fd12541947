"""One account in each kind of store that compares tokens: a row of PostgreSQL, a row of Cassandra, a value of Valkey."""

import os
from collections.abc import Mapping

import redis
from django.db import connection, models

from core.fencing import StaleToken
from core.fencing.cassandra import FencedTable
from core.fencing.redis import FencedValues
from core.fencing.rows import FencedModel, fenced_update

TABLE = "CREATE TABLE IF NOT EXISTS three_account (key text PRIMARY KEY, balance text NOT NULL, fence bigint NOT NULL DEFAULT 0)"
CASSANDRA_TABLE = "CREATE TABLE IF NOT EXISTS {keyspace}.three_account (key text PRIMARY KEY, balance text, fence bigint)"
STORES = ("postgresql", "cassandra", "valkey")


class Account(FencedModel):
    key = models.TextField(primary_key=True)
    balance = models.TextField()

    class Meta:
        app_label = "three_tests"
        db_table = "three_account"
        managed = False


class Three:
    """The accounts of one key. Whoever makes it first has made the tables."""

    def __init__(self, key: str, *, cassandra: str) -> None:
        self._key = key
        self._client = redis.Redis.from_url(os.environ["CACHE_URL"])
        self._values = FencedValues(self._client)
        self._table = FencedTable(cassandra, table="three_account", key=["key"], values=["balance"])
        Account.objects.get_or_create(key=key, defaults={"balance": ""})

    def write(self, balance: str, *, token: int) -> dict[str, str]:
        """Write to all under a token; what each said to it, `written` or `refused`."""
        ways = {
            "postgresql": lambda: fenced_update(Account.objects.filter(key=self._key), token, balance=balance),
            "cassandra": lambda: self._table.write({"key": self._key}, {"balance": balance}, token=token),
            "valkey": lambda: self._values.set(self._key, balance, token=token),
        }
        said = {}
        for name in STORES:
            try:
                ways[name]()
                said[name] = "written"
            except StaleToken:
                said[name] = "refused"
        return said

    def read(self) -> Mapping[str, str]:
        """Return the balances."""
        row = self._table.read({"key": self._key})
        return {
            "postgresql": Account.objects.get(key=self._key).balance, "cassandra": "" if row is None else row["balance"],
            "valkey": (self._values.get(self._key) or b"").decode(),
        }

    def close(self) -> None:
        self._table.close()
        self._client.delete(self._key)
        self._client.close()


def all_said(word: str) -> dict[str, str]:
    return dict.fromkeys(STORES, word)


def make_table() -> None:
    """Make PostgreSQL's."""
    with connection.cursor() as cursor:
        cursor.execute(TABLE)
