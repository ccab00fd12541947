"""Run the stores and processes of one machine: embedded PostgreSQL and Valkey, and everything that `make up` starts."""
