"""Apache Cassandra out of its jars, without a container: one node beside a developer's stores, three for the tests.

There is no wheel of it and no archive among the jars, so Maven fetches what `pom.xml` pins (67 MiB, once for each user)
and a Java of this machine runs it. Fast starts matter here and durability of a few tests' data does not, but `kill -9`
must lose nothing that was answered: what each option buys, and which tempting one loses a keyspace, is said where it stands.
"""
