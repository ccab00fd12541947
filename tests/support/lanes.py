"""Run the tests in two lanes (pytest-xdist): most of them wait for real processes, and leave a core to another lane.

Each lane has stores of its own. What shares something dear stays together in one lane: the tests on Cassandra their
nodes, and the chaos of the engine a machine that is as quiet as it can be, at the end.
"""

import os
from pathlib import Path

import pytest

from tests.support import components

ROOT = Path(__file__).resolve().parents[2]
RINGS = {"ring", "shared_ring", "paxos_rings"}
FIRST, LAST = "nodes of Cassandra", "chaos of the engine"   # what takes longest begins first


def are_asked_for(options: object) -> bool:
    """Tell whether this process only hands tests out to lanes."""
    return bool(getattr(options, "numprocesses", None)) and "PYTEST_XDIST_WORKER" not in os.environ


def group(item: pytest.Item) -> str:
    """Return what the test stays together with: its file, where nothing else is said."""
    path = item.path.relative_to(ROOT).as_posix()
    if RINGS & set(getattr(item, "fixturenames", ())):
        return FIRST
    return LAST if path.startswith("tests/chaos/") else path


@pytest.hookimpl(trylast=True)   # after those who put tests of one kind in an order of their own
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not hasattr(config, "workerinput"):
        return
    groups = {item: group(item) for item in items}
    items.sort(key=lambda item: (groups[item] != FIRST, groups[item] == LAST))
    for item, name in groups.items():
        item.add_marker(pytest.mark.xdist_group(name))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    components.ABSENT.update(getattr(node, "workeroutput", {}).get("absent", {}))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["absent"] = components.ABSENT
