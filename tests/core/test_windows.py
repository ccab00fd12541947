"""Rows read in windows are the rows that one plain statement would give, whatever the sizes of windows and pages."""

import pytest
from django.db.models import Q
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.api.models import ApiToken
from core.windows import ForeignPlace, Walk, text_of

pytestmark = pytest.mark.django_db
ROLES = ("viewer", "operator", "admin")


def stored(roles):
    ApiToken.objects.all().delete()
    ApiToken.objects.bulk_create(
        ApiToken(name=str(number // 3), prefix=f"{number:08d}", digest="", role=role) for number, role in enumerate(roles)
    )


def walk(*, split, keep, newest_first):
    rows = ApiToken.objects.all()
    sources = [rows.filter(role="viewer"), rows.filter(role="operator"), rows.filter(role="admin")] if split else [rows]
    return Walk(sources=sources, order=("name", "id"), keep=keep, newest_first=newest_first)


def read(walk, *, limit, window, back=False):
    """Turn the pages until the end; return the rows, and the pages."""
    found, pages, place = [], 0, None
    while True:
        span = walk.go(place, limit=limit, window=window, seconds=0.0, back=back)
        found += span.rows[::-1] if back else span.rows
        pages += 1
        if span.ended:
            return [row.pk for row in found], pages
        place = walk.read_place(text_of(span.place))   # as it goes through an address


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    roles=st.lists(st.sampled_from(ROLES), max_size=20), split=st.booleans(), newest_first=st.booleans(), back=st.booleans(),
    keep=st.sampled_from([None, Q(role="admin"), Q(role="none")]), limit=st.integers(1, 7), window=st.integers(1, 9),
)
def test_all_pages_together_are_the_list_once_and_in_its_order(*, roles, split, newest_first, back, keep, limit, window):
    stored(roles)
    down = newest_first is not back
    wanted = ApiToken.objects.filter(keep or Q()).order_by(*(("-name", "-id") if down else ("name", "id")))

    found, _ = read(walk(split=split, keep=keep, newest_first=newest_first), limit=limit, window=window, back=back)

    assert list(wanted.values_list("pk", flat=True)) == found


def test_looking_ends_when_its_time_is_over_and_says_where():
    stored(["viewer"] * 12 + ["admin"])
    looking = walk(split=False, keep=Q(role="admin"), newest_first=False)

    span = looking.go(limit=5, window=4, seconds=0.0)

    assert ([], False) == (span.rows, span.ended)
    found, pages = read(looking, limit=5, window=4)
    assert (1, 4) == (len(found), pages)
    assert 1 == len(looking.go(limit=5, window=4, seconds=60.0).rows)


def test_rows_are_counted_by_a_field_up_to_a_limit():
    stored(["viewer"] * 5 + ["admin"] * 2)
    looking = walk(split=True, keep=None, newest_first=True)

    whole, cut = looking.tally("role", most=100, window=2), looking.tally("role", most=2, window=2)

    assert ({"viewer": 5, "admin": 2}, True, 7) == (whole.counts, whole.complete, whole.total)
    assert not cut.complete
    assert cut.total < 7


@pytest.mark.parametrize("text", ["", "x", "bnVsbA", "W10", "WzFd", text_of(("a",)), text_of(("a", "b", "c")), text_of(("a", "no number"))])
def test_a_text_that_no_page_has_given_is_refused(text):
    with pytest.raises(ForeignPlace):
        walk(split=False, keep=None, newest_first=True).read_place(text)
