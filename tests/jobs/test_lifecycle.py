"""What the statuses promise each other."""

import pytest

from apps.jobs.lifecycle import ACTIONS, DUE, FINISHED, TRANSITIONS, UNFINISHED, WAITING, Status


def test_every_status_says_where_it_leads():
    assert set(Status) == set(TRANSITIONS)


def test_every_status_is_either_finished_or_not():
    assert set(Status) == set(FINISHED) | set(UNFINISHED)
    assert set() == set(FINISHED) & set(UNFINISHED)


def test_only_a_claim_leads_to_running():
    assert [Status.QUEUED] == [status for status, leads in TRANSITIONS.items() if Status.RUNNING in leads]


def test_a_finished_job_goes_nowhere_by_itself_but_back_to_its_queue_or_away():
    assert {Status.QUEUED, Status.CANCELLED} == {to for status in FINISHED for to in TRANSITIONS[status]}


@pytest.mark.parametrize("status", UNFINISHED)
def test_every_unfinished_status_leads_to_an_end(status):
    reached, frontier = set(), {status}
    while frontier:
        reached |= frontier
        frontier = {to for each in frontier for to in TRANSITIONS[each]} - reached

    assert set(FINISHED) <= reached


def test_what_waits_for_its_time_waits():
    assert set(DUE) < set(WAITING) < set(UNFINISHED)


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_is_allowed_only_where_a_transition_follows(action):
    leads = {"retry": Status.QUEUED, "cancel": Status.CANCELLED, "run": Status.QUEUED, "discard": Status.CANCELLED}[action]
    stays = {("run", Status.QUEUED)}   # already there: it is rung once more

    for status in ACTIONS[action]:
        assert leads in TRANSITIONS[status] or (action, status) in stays
