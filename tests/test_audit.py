"""`make audit` tells weaknesses from silence: a service that knows nothing is no good news."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
KNOWS = '[ "$(cat "${@: -1}")" = "django==5.2.1" ] && { echo "Name ID"; echo "django PYSEC-2025-47"; exit 1; }'
MIRROR = 'echo "WARNING: Dependency not found on PyPI and could not be audited"; echo "No known vulnerabilities found"'


def audit(tmp_path, body, **environ):
    """Run it with a pip-audit of the test's own."""
    program = tmp_path / "pip-audit"
    program.write_text(f'#!/usr/bin/env bash\necho "$@" >> {tmp_path}/asked\n{body}\n')
    program.chmod(0o755)
    ran = subprocess.run(
        [ROOT / ".ci" / "audit"], env={"PATH": os.environ["PATH"], "PIP_AUDIT": str(program), **environ}, capture_output=True,
        text=True, check=False, timeout=60,
    )
    asked = (tmp_path / "asked").read_text().splitlines() if (tmp_path / "asked").exists() else []
    return ran, [line.rpartition("/")[2] for line in asked[1:]]


@pytest.mark.parametrize("body", [MIRROR, "echo 'ERROR: Connection refused'; exit 1", "exit 0"])
@pytest.mark.parametrize(("environ", "status"), [({}, 2), ({"AUDIT_BLIND": "skip"}, 0)])
def test_where_nobody_knows_it_says_that_nothing_was_checked(body, environ, status, tmp_path):
    ran, locks = audit(tmp_path, body, **environ)

    assert (status, True, []) == (ran.returncode, "NOTHING WAS CHECKED" in ran.stdout, locks)


def test_without_the_canary_a_mirror_would_be_good_news(tmp_path):
    text = (ROOT / ".ci" / "audit").read_text()
    bold = tmp_path / ".ci" / "audit"
    bold.parent.mkdir()
    bold.write_text("\n".join(line for line in text.splitlines() if "grep -q" not in line))
    (tmp_path / "pip-audit").write_text(f"#!/usr/bin/env bash\n{MIRROR}\n")
    (tmp_path / "pip-audit").chmod(0o755)
    ran = subprocess.run(["bash", bold], env={"PATH": os.environ["PATH"], "PIP_AUDIT": str(tmp_path / "pip-audit")}, capture_output=True,
                         text=True, check=False, timeout=60)

    assert (0, True) == (ran.returncode, "No known vulnerabilities found" in ran.stdout)


def test_a_program_that_is_not_there_is_said(tmp_path):
    ran = subprocess.run([ROOT / ".ci" / "audit"], env={"PATH": os.environ["PATH"], "PIP_AUDIT": str(tmp_path / "none")},
                         capture_output=True, text=True, check=False, timeout=60)

    assert (2, True) == (ran.returncode, "pip-audit is not installed" in ran.stdout)


@pytest.mark.parametrize(("then", "status"), [("exit 0", 0), ('[[ "${@: -1}" == */s3.txt ]] && exit 1; exit 0', 1)])
def test_where_somebody_knows_each_lock_is_asked_about_strictly(then, status, tmp_path):
    ran, locks = audit(tmp_path, f"{KNOWS}\n{then}", AUDIT_BLIND="skip")

    assert (status, ["base.txt", "s3.txt", "local.txt", "dev.txt"]) == (ran.returncode, locks)
    assert 4 == (tmp_path / "asked").read_text().count("--strict")


def test_scanners_are_no_part_of_what_runs():
    named = {name: (ROOT / "requirements" / f"{name}.txt").read_text() for name in ("base", "s3", "local", "dev", "audit")}

    assert {"audit"} == {name for name, text in named.items() if "\npip-audit==" in text}
