"""Measures locks on three nodes of Cassandra: ours, the design that is commonly built, and bare LWTs. `python -m bench.locks --help`."""
