"""The report of a run, drawn from a history that is written here."""

import collections
import json

import pytest

from locks.testing.checker import check, waits
from locks.testing.history import load
from tests.locks.chaos import page
from tests.locks.chaos.account import Account, Balance
from tests.locks.chaos.mix import Outcome, Plan


def line(at, event, **facts):
    return {"at": at, "event": event, "pid": 1, **facts}


@pytest.fixture
def outcome(tmp_path):
    events = [
        line(1.0, "acquire.call", op="a", name="red"),
        line(1.1, "acquire.return", op="a", name="red", outcome="held", token=7, nonce="n", deadline=7.0),
        line(1.2, "fault", fault="lose <replies>"), line(3.0, "heal", fault="lose <replies>"),
        line(3.5, "write", name="red", token=7, accepted=True), line(4.0, "release.call", name="red", token=7),
        line(70.0, "acquire.call", op="b", name="red"),
        line(70.1, "acquire.return", op="b", name="red", outcome="held", token=6, nonce="m", deadline=76.0),
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, events)))
    loaded = load(tmp_path)
    return Outcome(
        plan=Plan(seconds=60, seed=1), paxos="v2", folder=tmp_path, faults=collections.Counter(lose_replies=1), events=loaded,
        verdict=check(loaded), account=[], lost_without_fence=0, waits=waits(loaded),
    )


def test_a_violation_stands_in_the_title_and_by_name(outcome):
    text = page.html([outcome])

    assert ("a token did not rise" in text, "no violation" not in text) == (True, True)


def test_every_grant_and_fault_is_drawn_and_every_event_is_there(outcome):
    text = page.html([outcome])

    assert (2, 1, 2) == (text.count("<title>token "), text.count("<title>lose &lt;replies&gt;, 1.8 s"), text.count("<svg"))
    assert "8 events" in text


def test_the_page_is_written_beside_the_history(outcome, tmp_path):
    assert page.write([outcome], tmp_path).read_text() == page.html([outcome])


def test_an_account_that_took_a_lower_token_is_found_out(tmp_path):
    account = Account(tmp_path)
    first = account.begin("red", 1)
    account.begin("red", 2)
    refused, taken = account.write("red", 1, Balance(first.value + 1, 1)), account.write("red", 2, Balance(1, 1))
    well = account.violations()
    account.database.execute("INSERT INTO accepted (name, fence, kind) VALUES ('red', 1, 'fenced')")
    ill = account.violations()
    account.close()

    assert (False, True, [], 2) == (refused, taken, well, len(ill))
