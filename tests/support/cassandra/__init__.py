"""Three real nodes of Cassandra on loopback, and what can be done to them: stopped, killed, set wrong, their frames lost."""
