import json
import re
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from core.api import tokens
from core.api.models import ApiToken
from core.api.roles import Role

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_create_prints_the_token_alone_and_it_works():
    printed = run("tokens_create", "me", "--role", "operator")

    row = tokens.find(printed.strip())
    assert re.fullmatch(r"lw_[0-9a-f]{8}_[A-Za-z0-9_-]{43}\n", printed)
    assert (row.name, row.role, row.expires_at) == ("me", "operator", None)


def test_create_as_json_tells_the_facts():
    made = json.loads(run("tokens_create", "me", "--role", "viewer", "--expires-days", "7", "--json"))

    row = tokens.find(made["token"])
    assert made == {
        "token": made["token"], "prefix": f"lw_{row.prefix}", "name": "me", "role": "viewer",
        "expires_at": row.expires_at.isoformat(),
    }
    assert (row.expires_at - row.created_at).days == 7


@pytest.mark.parametrize(("text", "seconds"), [("90m", 5400), ("12h", 43_200), ("30d", 2_592_000)])
def test_create_takes_any_span_that_the_token_is_good_for(text, seconds):
    made = json.loads(run("tokens_create", "me", "--role", "viewer", "--expires", text, "--json"))

    row = tokens.find(made["token"])
    assert round((row.expires_at - row.created_at).total_seconds()) == seconds


@pytest.mark.parametrize("text", ["", "30", "0d", "-1d", "1w", "1.5h", "40000d", "99999999d", "9999999999m", "\u0663d"])
def test_create_refuses_a_span_that_it_does_not_understand(text):
    with pytest.raises(CommandError, match="is no length of time"):
        run("tokens_create", "me", "--role", "viewer", f"--expires={text}")

    assert not ApiToken.objects.exists()


def test_create_takes_one_span():
    with pytest.raises(CommandError, match="not allowed with"):
        run("tokens_create", "me", "--role", "viewer", "--expires", "1d", "--expires-days", "1")


def test_a_dry_run_creates_and_revokes_nothing():
    made = tokens.create(name="kept", role=Role.ADMIN)

    run("tokens_create", "me", "--role", "admin", "--dry-run")
    facts = json.loads(run("tokens_create", "me", "--role", "admin", "--dry-run", "--json"))
    printed = run("tokens_revoke", made.row.prefix, "--dry-run")

    assert (facts["token"], facts["name"], facts["dry_run"]) == (None, "me", True)
    assert printed == f"would revoke kept (lw_{made.row.prefix}, admin)\n"
    assert tokens.find(made.token) == ApiToken.objects.get()


@pytest.mark.parametrize("arguments", [["", "--role", "admin"], ["a" * 101, "--role", "admin"], ["a", "--role", "king"],
                                       ["a"], ["a", "--role", "admin", "--expires-days", "0"]])
def test_create_refuses_what_it_cannot_keep(arguments):
    with pytest.raises(CommandError):
        run("tokens_create", *arguments)

    assert not ApiToken.objects.exists()


def test_revoke_takes_the_prefix_in_any_form_and_ends_no_other():
    one, two, other = (tokens.create(name=name, role=Role.VIEWER) for name in ("one", "two", "other"))

    run("tokens_revoke", f"lw_{one.row.prefix}", two.token)

    assert [tokens.find(made.token) is None for made in (one, two, other)] == [True, True, False]


def test_revoke_of_an_unknown_prefix_revokes_none():
    made = tokens.create(name="one", role=Role.VIEWER)

    with pytest.raises(CommandError, match="no token begins with 00000000"):
        run("tokens_revoke", made.row.prefix, "00000000")

    assert tokens.find(made.token)


def test_list_shows_states_and_never_a_secret():
    made = [tokens.create(name=name, role=Role.VIEWER) for name in ("one", "two")]
    tokens.revoke([made[0].row.prefix])

    printed = run("tokens_list", "--json")

    assert [(row["name"], row["state"]) for row in json.loads(printed)] == [("one", "revoked"), ("two", "usable")]
    assert not any(each.token.split("_", 2)[2] in printed or each.row.digest in printed for each in made)
    assert run("tokens_list").count("\n") == 2
