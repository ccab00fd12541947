"""The tables, and how they are made."""

import psycopg

ADVISORY = 7_514_120_083    # PostgreSQL's CREATE IF NOT EXISTS fails when two run at once
SCHEMA = """
CREATE SCHEMA IF NOT EXISTS locks;
CREATE TABLE IF NOT EXISTS locks.lock (
  namespace text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  state smallint NOT NULL CHECK (state BETWEEN 0 AND 3),   -- free, held, retired, new
  fence bigint NOT NULL CHECK (fence >= 0),                -- the token of the latest grant; never falls
  hb bigint NOT NULL,                                      -- renewals of this grant
  nonce uuid NOT NULL,                                     -- the call that made the grant
  owner text NOT NULL,
  lease_ms bigint NOT NULL,
  since_ms bigint NOT NULL,
  PRIMARY KEY (namespace, name)
) WITH (fillfactor = 50);   -- updates stay in their page
CREATE TABLE IF NOT EXISTS locks.floor (namespace text PRIMARY KEY, floor bigint NOT NULL);
CREATE TABLE IF NOT EXISTS locks.event (
  id uuid PRIMARY KEY,
  namespace text NOT NULL,
  number bigint GENERATED ALWAYS AS IDENTITY,
  at timestamptz NOT NULL,
  name text NOT NULL,
  kind text NOT NULL,
  token bigint NOT NULL,
  actor text NOT NULL,
  reason text NOT NULL
);
CREATE INDEX IF NOT EXISTS event_by_name ON locks.event (namespace, name, number DESC);
CREATE INDEX IF NOT EXISTS event_by_number ON locks.event (namespace, number DESC);
"""


def create_schema(url: str) -> None:
    """Create what is missing of schema `locks` in this database; any number of processes may do so at once."""
    with psycopg.connect(url, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [ADVISORY])
        connection.execute(SCHEMA)
