"""Locks in the admin: who has what, and the end of the grant that one saw."""

import html

import pytest
from django.contrib.admin.utils import quote
from django.urls import reverse

from core.locking.models import grant_of, key_of
from tests.support.people import logged_in, person

pytestmark = pytest.mark.django_db
LIST = "/admin/core/lock/"
AWAY = "postgresql://nobody@127.0.0.1:9/none"   # nothing listens there


@pytest.fixture
def admins():
    return logged_in(person("admin"))


def form(lease, **more):
    return {"action": "release", "_selected_action": [key_of(lease.name, lease.token)], **more}


def said(answer):
    return html.unescape(answer.content.decode())


def test_a_list_shows_who_has_what_and_a_page_its_history(admins, lease, name):
    listed = said(admins.get(LIST, {"q": name}))
    page = said(admins.get(reverse("admin:core_lock_change", args=[quote(key_of(name, lease.token))])))

    assert all(text in listed for text in (name, "worker-7@there", str(lease.token)))
    assert "nothing out of the ordinary" in page
    assert "worker-7@there" not in said(admins.get(LIST, {"q": name, "state": "free"}))


def test_a_release_is_asked_about_first_and_done_for_a_reason(admins, lease, name):
    asked = said(admins.post(LIST, form(lease)))
    lease.renew()
    done = said(admins.post(LIST, form(lease, confirm="release", reason="its machine is gone"), follow=True))

    assert f"{name}, token {lease.token}, held by worker-7@there" in asked
    assert "1 was released" in done
    page = said(admins.get(reverse("admin:core_lock_change", args=[quote(key_of(name, lease.token))])))
    assert "force.freed" in page
    assert "its machine is gone" in page


def test_a_later_holder_is_not_hit(admins, lease, name, theirs):
    lease.release()
    following = theirs.acquire(name)

    asked = said(admins.post(LIST, form(lease)))
    done = said(admins.post(LIST, form(lease, confirm="release", reason="x"), follow=True))

    following.renew()
    assert "is over already" in asked
    assert "is over already" in done


def test_a_store_that_is_away_is_said_to_be(admins, settings):
    settings.LOCKS_URL = AWAY

    answer = admins.get(LIST)

    assert 200 == answer.status_code
    assert "store of locks does not answer" in said(answer)   # Django begins it with a capital


@pytest.mark.parametrize("key", ["", "5", ":a", "x:a", "5:", "99999999999999999999:a", "\u0665:a"])
def test_what_names_no_grant_is_none(key):
    assert None is grant_of(key)
    assert ("a:b", 5) == grant_of(key_of("a:b", 5))
