"""A web process is warm before it answers: its first requests hardly import and compile anything."""

import subprocess
import sys

import pytest

ASK = """
import sys
{before}
import config.wsgi
from django.template import Template
from django.test import Client

compiled, compile = [], Template.compile_nodelist
Template.compile_nodelist = lambda self: compiled.append(str(self.origin)) or compile(self)
client, known = Client(headers={{"host": "localhost"}}), set(sys.modules)
answers = [client.get(path).status_code for path in ("/healthz", "/admin/login/", "/api/v1/jobs", "/api/v1/artifacts/x", "/nowhere")]
print(answers, len(set(sys.modules) - known), len([name for name in compiled if "django/forms" not in name]))
"""
COLD = "import types; sys.modules['config.warming'] = types.SimpleNamespace(warm=lambda: None)"


def asked(before):
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ASK.format(before=before)], capture_output=True, text=True, check=True, timeout=120,
    )
    answers, imported, compiled = ran.stdout.strip().splitlines()[-1].rsplit(" ", 2)
    return answers, int(imported), int(compiled)


def test_the_first_requests_import_next_to_nothing_and_compile_nothing_but_fields():
    answers, imported, compiled = asked("")

    assert ("[200, 200, 401, 404, 404]", True, 0) == (answers, imported < 10, compiled)


def test_without_it_they_would():
    answers, imported, compiled = asked(COLD)

    assert ("[200, 200, 401, 404, 404]", True, True) == (answers, imported > 50, compiled > 2)


@pytest.mark.django_db
def test_pages_behind_the_log_in_are_warm_too():
    from django.template import engines

    from config import warming

    warming.warm()
    names = {str(template.origin.template_name) for loader in engines["django"].engine.template_loaders
             for template in loader.get_template_cache.values() if hasattr(template, "origin")}

    assert set() == {"admin/change_list.html", "core/admin/list.html", "jobs/admin/jobs.html", "core/admin/detail.html"} - names


def test_it_asks_no_service():
    nowhere = "import os; os.environ.update(DATABASE_URL='postgresql://n@127.0.0.1:1/n', CACHE_URL='redis://127.0.0.1:1/0', BROKER_URL='redis://127.0.0.1:1/0')"
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"{nowhere}; import config.wsgi; print('warm')"], capture_output=True, text=True,
        check=False, timeout=120,
    )

    assert (0, "warm") == (ran.returncode, ran.stdout.strip()), ran.stderr
