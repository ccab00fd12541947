"""The settings of a server, as a process that starts meets them."""

import os
import subprocess
import sys

import pytest

from config.settings import env

ROOT = env.ROOT
RIGHT = {
    "SECRET_KEY": "aB3xY9qLzW" * 6,
    "ALLOWED_HOSTS": "shop.example",
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    "BROKER_URL": "redis://127.0.0.1:1/0",
    "CACHE_URL": "redis://127.0.0.1:1/1",
    "SEAL_KEYS": "A" * 43,
}


def start(*words, **environ):
    ours = {*env.Environment.model_fields, *(f"{name}_FILE" for name in env.Environment.model_fields)}
    others = {name: value for name, value in os.environ.items() if name not in ours}
    return subprocess.run(
        [sys.executable, "manage.py", *(words or ["version"]), "--settings=config.settings.production"],
        cwd=ROOT, env={**others, **RIGHT, **environ}, capture_output=True, text=True, check=False,
    )


def test_a_server_starts_once_everything_is_set():
    assert (0, "") == ((started := start()).returncode, started.stderr)


def test_djangos_checks_of_a_deployment_find_nothing(tmp_path):
    checked = start("check", "--deploy", "--fail-level", "WARNING", DATA_DIR=str(tmp_path))

    assert (checked.returncode, checked.stdout) == (0, "System check identified no issues (0 silenced).\n"), checked.stderr


@pytest.mark.parametrize(
    ("environ", "problems"),
    [
        ({"SECRET_KEY": ""}, ["SECRET_KEY is not set: give 50 random characters"]),
        ({"SECRET_KEY": "short"}, ["SECRET_KEY is too short: give 50 random characters"]),
        ({"ALLOWED_HOSTS": " "}, ["ALLOWED_HOSTS is not set: name the hosts"]),
        ({"ALLOWED_HOSTS": ","}, ["ALLOWED_HOSTS=,: names nothing: unset it"]),
        ({"DEBUG": "1"}, ["DEBUG is on: unset it"]),
        ({"BROKER_URL": "", "CACHE_URL": ""}, ["BROKER_URL is not set", "CACHE_URL is not set"]),
    ],
)
def test_a_server_refuses_to_start_in_a_sentence_that_names_the_variable(environ, problems):
    refused = start(**environ)

    said, *reasons = refused.stderr.splitlines()
    assert (1, "The settings need attention:") == (refused.returncode, said)
    assert problems == [reason.removeprefix("  - ")[: len(problem)] for reason, problem in zip(reasons, problems, strict=True)]


def test_a_type_with_sealed_fields_wants_a_key(tmp_path):
    here = {"DATA_DIR": str(tmp_path), "JOB_MODULES": "tests.support.sealed", "PYTHONPATH": str(ROOT)}
    without = start("version", **here, SEAL_KEYS="")
    with_key = start("check", **here)

    assert (1, 0) == (without.returncode, with_key.returncode)
    assert "SEAL_KEYS is not set, and http.request, sealed.pay have fields to seal: make one with" in without.stderr


@pytest.mark.parametrize("process", [
    ["celery", "-A", "config", "worker"], ["celery", "-A", "config", "beat"],
    ["gunicorn", "config.wsgi", "--chdir", "platform", "--bind", "127.0.0.1:0"],
])   # fmt: skip
def test_no_process_starts_without_a_key_for_what_it_shall_seal(process, tmp_path):
    others = {name: value for name, value in os.environ.items() if not name.startswith("SEAL_KEYS")}
    here = {
        "DATA_DIR": str(tmp_path), "PYTHONPATH": str(ROOT), "SEAL_KEYS": "",
        "DJANGO_SETTINGS_MODULE": "config.settings.production",
    }
    started = subprocess.run(
        [sys.executable, "-m", *process], cwd=ROOT, env={**others, **RIGHT, **here}, capture_output=True, text=True,
        check=False, timeout=60,
    )

    assert 0 != started.returncode
    assert "SEAL_KEYS is not set, and http.request has fields to seal: make one with" in started.stderr + started.stdout
