"""An operator ends a grant: the one that was seen, on record, and never the next one."""

from collections import Counter

import pytest
from django.db import connection, transaction

from core import audit
from core.audit.actor import Actor
from core.audit.models import AuditEntry
from core.fencing import StaleToken
from core.fencing.models import ResourceFence
from core.fencing.resources import admit
from core.fencing.rows import fenced_update
from core.locking import looking, releasing
from core.locking.errors import GrantOver, LockNotFound, LocksAway
from core.read_only import ReadOnly
from locks import LockLost
from locks.testing.contract import together
from tests.support.waiting import until

pytestmark = pytest.mark.django_db
ALICE = Actor(key="user:7", name="alice", role="admin", channel="admin")
AWAY = "postgresql://nobody@127.0.0.1:9/none"   # nothing listens there


def release(name, token, reason="its machine is gone"):
    with audit.acting(ALICE):
        return releasing.release(name, token=token, reason=reason)


def test_a_release_frees_the_lock_raises_its_token_and_tells_its_holder(lease, name):
    told = []
    lease.on_lost = lambda _, why: told.append(why)

    now = release(name, lease.token)

    assert ("free", None, lease.token + 1) == (now.state, now.holder, now.token)
    with pytest.raises(LockLost):
        lease.renew()
    until(lambda: told, message="its holder was not told")


def test_the_next_fenced_write_of_a_holder_that_lives_is_refused_at_once(lease, name):
    """Before it is told, and before anybody else has the lock."""
    account = ResourceFence.objects.filter(resource=name)
    admit(name, lease.token)
    fenced_update(account, lease.token)
    release(name, lease.token)

    lease.check()   # nobody has told it yet
    with pytest.raises(StaleToken):
        fenced_update(account, lease.token)
    with pytest.raises(StaleToken), transaction.atomic():
        admit(name, lease.token)
    with pytest.raises(StaleToken), transaction.atomic():
        admit("another resource", lease.token)


def test_a_grant_that_was_not_ended_by_that_is_not_refused(lease, name):
    with pytest.raises(GrantOver):
        release(name, lease.token - 1)

    admit(name, lease.token)


@pytest.mark.django_db(transaction=True)
def test_of_two_operators_at_the_same_time_one_releases_it_and_both_are_on_record(lease, name, theirs):
    def press(number):
        try:
            with audit.acting(Actor(key=f"user:{number}", name="", role="admin", channel="api")):
                return releasing.release(name, token=lease.token, reason=f"reason {number}").state
        except GrantOver:
            return "over"
        finally:
            connection.close()   # it is this thread's own

    pressed = together(4, press)
    following = theirs.acquire(name)
    with pytest.raises(GrantOver):
        release(name, lease.token)

    following.renew()
    assert {"over": 3, "free": 1} == Counter(pressed)
    freed = [each for each in looking.history(name) if each.kind == "force.freed"]
    entry = AuditEntry.objects.get(target=f"lock:{name}", action="lock.release")
    assert [(entry.actor, entry.after["reason"])] == [(each.actor, each.reason) for each in freed]


def test_the_next_holder_has_a_greater_token_and_is_not_hit_by_a_repetition(lease, name, theirs):
    release(name, lease.token)
    following = theirs.acquire(name)

    with pytest.raises(GrantOver, match=f"worker-7@there has it now, with token {following.token}, and keeps it"):
        release(name, lease.token)

    following.renew()
    assert following.token > lease.token + 1


def test_the_audit_and_the_history_say_who_and_why(lease, name):
    release(name, lease.token)

    entry = AuditEntry.objects.get(target=f"lock:{name}")
    assert ("user:7", "lock.release") == (entry.actor, entry.action)
    assert {"holder": "worker-7@there", "fencing_token": lease.token} == entry.before
    assert {"outcome": "freed", "fencing_token": lease.token + 1, "reason": "its machine is gone"} == entry.after
    history = [(each.kind, each.actor, each.reason, each.token) for each in looking.history(name)]
    assert [
        (kind, "user:7 (alice)", "its machine is gone", lease.token) for kind in ("force.freed", "force.asked")
    ] == history


def test_what_is_refused_leaves_no_entry_in_the_audit(lease, name):
    with pytest.raises(GrantOver):
        release(name, lease.token + 5)
    with pytest.raises(LockNotFound):
        release(f"{name}-other", 5)

    lease.renew()
    assert 0 == AuditEntry.objects.filter(action="lock.release").count()


def test_nothing_is_released_while_the_installation_is_read_only(lease, name, settings):
    settings.READ_ONLY = True

    with pytest.raises(ReadOnly):
        release(name, lease.token)

    lease.renew()


def test_a_store_that_is_away_is_said_to_be(settings, name):
    settings.LOCKS_URL = AWAY

    with pytest.raises(LocksAway):
        release(name, 5)
    with pytest.raises(LocksAway):
        looking.page()


def test_the_floor_rises_on_record_and_never_falls(db):
    before = releasing.floor()
    with audit.acting(ALICE):
        first = releasing.raise_floor(before + 5, reason="restored from Monday")
        second = releasing.raise_floor(before + 1, reason="again")

    assert (before + 5, before + 5) == (first, second)
    entry = AuditEntry.objects.filter(action="lock.floor").order_by("id").first()
    assert ({"floor": before}, {"floor": before + 5, "reason": "restored from Monday"}) == (entry.before, entry.after)
