"""Measures Latchwork beside plain Celery: `python -m bench --help`. Never part of the tests; see README.md."""
