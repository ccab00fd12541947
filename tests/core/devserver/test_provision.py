import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from django.contrib.auth import authenticate
from django.core.management import call_command
from django.db import connection

from core.api import tokens
from core.devserver import provision, secrets
from tests.support.environment import database_url, environment
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.django_db(transaction=True)


def prepare(data_dir):
    said = []
    provision.prepare(data_dir=data_dir, say=said.append)
    return said


def current(data_dir):
    return provision.is_current(database_url=database_url(), data_dir=data_dir)


def test_a_database_is_prepared_once(tmp_path):
    before = current(tmp_path)
    first = prepare(tmp_path)

    assert (False, True) == (before, current(tmp_path))
    assert ["applied 0 migrations", "made the log-in admin", "made an API token"] == first
    assert ["applied 0 migrations"] == prepare(tmp_path)


def test_the_log_in_and_the_token_that_are_kept_let_one_in(tmp_path):
    prepare(tmp_path)

    assert authenticate(username="admin", password=secrets.known(tmp_path, "admin_password")).is_superuser
    assert "admin" == tokens.find(secrets.known(tmp_path, "token")).role


def test_a_missing_migration_is_noticed(tmp_path):
    prepare(tmp_path)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'sessions' RETURNING name, applied")
        ((name, applied),) = cursor.fetchall()
        missing = current(tmp_path)
        cursor.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('sessions', %s, %s)", [name, applied])

    assert (False, True) == (missing, current(tmp_path))


def test_a_token_that_was_revoked_is_replaced(tmp_path):
    prepare(tmp_path)
    first = secrets.known(tmp_path, "token")
    call_command("tokens_revoke", first.split("_")[1])
    revoked = current(tmp_path)
    prepare(tmp_path)

    assert (False, True) == (revoked, current(tmp_path))
    assert first != secrets.known(tmp_path, "token")


def test_a_log_in_that_was_there_before_keeps_its_password(tmp_path, django_user_model):
    django_user_model.objects.create_superuser("admin", password="their own")
    said = prepare(tmp_path)

    assert "the log-in admin exists already, with a password that is not kept here" in said
    assert authenticate(username="admin", password="their own")
    assert secrets.known(tmp_path, "admin_password") is None


def test_two_starts_prepare_one_after_the_other(tmp_path):
    log = tmp_path / "log"
    with psycopg.connect(database_url(), autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [provision.LOCK])
        with log.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, "-u", "manage.py", "provision"], cwd=ROOT,
                env=environment(DATA_DIR=str(tmp_path)), stdout=file, stderr=file,
            )
        until(lambda: "another start prepares this database" in log.read_text(encoding="utf-8"), timeout=30)
        made_meanwhile = (tmp_path / "token").exists()
    status = process.wait(30)

    assert (False, 0, True) == (made_meanwhile, status, (tmp_path / "token").exists())


def test_a_database_that_is_not_there_is_told(tmp_path):
    with pytest.raises(provision.Unreachable, match="DATABASE_URL leads nowhere"):
        provision.is_current(database_url=f"{database_url()}_not", data_dir=tmp_path)
