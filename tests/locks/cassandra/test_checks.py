"""What is found in clusters that are not as they should be, judged from facts."""

from dataclasses import replace

import pytest

from locks.stores.cassandra import Address
from locks.stores.cassandra.checks import Facts, Node, Weight, findings, seconds

GOOD = {
    "paxos_variant": "v2", "paxos_state_purging": "repaired", "paxos_on_linearizability_violations": "fail", "commitlog_sync": "batch",
    "cas_contention_timeout": "1000ms", "write_request_timeout": "2000ms", "internode_timeout": "true",
}
ADDRESS = Address(hosts=("a",), keyspace="locks")


def node(name="a", *, version=(5, 0, 9), datacenter="dc1", ahead=0.0, disabled=False, **settings):
    return Node(
        name=name, version=version, datacenter=datacenter, settings={**GOOD, **settings}, serial_reads_disabled=disabled,
        ahead_seconds=ahead,
    )


def facts(*nodes, replication=None, tables=None, silent=()):
    nodes = nodes or (node("a"), node("b"), node("c"))
    given = {"class": "org.apache.cassandra.locator.NetworkTopologyStrategy", "dc1": "3"} if replication is None else replication
    return Facts(nodes=nodes, silent=silent, replication=given or None, tables={"locks": 0} if tables is None else tables)


def weights(known, address=ADDRESS):
    return [finding.weight for finding in findings(known, address)]


def test_nothing_is_found_where_all_is_well():
    assert [] == weights(facts())


@pytest.mark.parametrize(("known", "weight", "said"), [
    (facts(replication={}), Weight.WRONG, "no table"),
    (facts(tables={"others": 0}), Weight.WRONG, "no table"),
    (facts(tables={"locks": 60}), Weight.WRONG, "expire"),
    (facts(replication={"class": "SimpleStrategy", "replication_factor": "1"}), Weight.RISK, "1 replica,"),
    (facts(node(), node("b", datacenter="dc2"), replication={"class": "SimpleStrategy", "replication_factor": "3"}), Weight.RISK, "SimpleStrategy"),
    (facts(silent=("d (NoHostAvailable)",)), Weight.RISK, "d (NoHostAvailable)"),
    (facts(node(), node("b", version=(5, 1, 0))), Weight.RISK, "different versions"),
    (facts(node(paxos_variant="v1")), Weight.COST, "Paxos v1"),
    (facts(node(paxos_variant="v2_without_linearizable_reads")), Weight.WRONG, "tell the past"),
    (facts(node(disabled=True)), Weight.WRONG, "disable-serial-reads"),
    (facts(node(paxos_state_purging="legacy")), Weight.RISK, "forgets what Paxos promised"),
    (facts(node(paxos_state_purging="gc_grace")), Weight.RISK, "forgets what Paxos promised"),
    (facts(node(paxos_repair_enabled="false")), Weight.RISK, "does not finish what Paxos has decided"),
    (facts(node(skip_paxos_repair_on_topology_change="true")), Weight.RISK, "does not finish what Paxos has decided"),
    (facts(node(skip_paxos_repair_on_topology_change_keyspaces="[locks]")), Weight.RISK, "does not finish what Paxos has decided"),
    (facts(node(commitlog_sync="periodic")), Weight.RISK, "power cut"),
    (facts(node(paxos_on_linearizability_violations="ignore")), Weight.COST, "mixed on one row"),
    (facts(node(cas_contention_timeout="1800ms"), node("b", cas_contention_timeout="5s")), Weight.COST, "5.0 s"),
    (facts(node(version=(4, 1, 3))), Weight.WRONG, "CASSANDRA-19617"),
    (facts(node(version=(4, 0, 11))), Weight.COST, "no Paxos v2"),
    (facts(node(ahead=0.1), node("b", ahead=-1.2)), Weight.RISK, "1.3 s apart"),
    (facts(node(ahead=0.1), node("b", ahead=-3.0)), Weight.RISK, "as good as gone"),
    (facts(node(ahead=3.0, write_request_timeout="5s"), node("b", write_request_timeout="5s")), Weight.RISK, "are 5.0 s apart drop"),
    (facts(node(ahead=3.0, internode_timeout="false"), node("b")), Weight.RISK, "as good as gone"),
    (facts(node(ahead=3.0, internode_timeout="false"), node("b", internode_timeout="false")), Weight.COST, "no lock rests on them"),
    (facts(node(ahead=-90.0), node("b", ahead=-90.5)), Weight.COST, "90 s off"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_each_thing_that_is_not_well_is_found_and_has_a_remedy(known, weight, said):
    found = findings(known, ADDRESS)

    assert ([weight], [True], [True]) == (
        [each.weight for each in found], [said in each.what for each in found], [bool(each.remedy) for each in found],
    )


def test_different_paxos_is_wrong_and_comes_first():
    known = facts(node(), node("b", paxos_variant="v1"))

    assert [Weight.WRONG, Weight.COST] == weights(known)


def test_locks_cannot_be_decided_in_a_data_centre_without_replicas():
    address = replace(ADDRESS, local=True, datacenter="dc2")

    assert ([Weight.WRONG], []) == (weights(facts(), address), weights(facts(), replace(address, datacenter="dc1")))


@pytest.mark.parametrize(("text", "expected"), [("1000ms", 1.0), ("1.8s", 0.0), ("5s", 5.0), ("2m", 120.0), ("250", 0.25), ("", 0.0)])
def test_durations_are_read_as_cassandra_writes_them(text, expected):
    assert expected == seconds(text)
