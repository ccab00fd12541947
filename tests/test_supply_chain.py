"""What others have written and this project runs: all of it is listed, under licences that it may be used with."""

import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.test_hygiene import tracked

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("base", "s3", "local", "dev")
FAMILIES = {"Apache", "BSD", "ISC", "MIT", "MPL", "PSF", "Unlicense"}
# A library that is installed as it is and imported may be LGPL; each is named, because copying its code would not do.
WEAK_COPYLEFT = {"fpdf2", "psycopg", "psycopg-binary", "python-crontab"}
SAYS_NOTHING_IN_SHORT = {"python-dateutil": "Apache"}   # "Dual License": BSD, or Apache; its classifiers name both
STATIC = {   # all that a browser loads from this repository was written for it; what others wrote comes with locked wheels
    "apps/jobs/static/jobs/schedule.js", "bench/page.css", "platform/config/static/site/latch.svg",
    "platform/config/static/site/docs.css", "platform/config/static/site/site.css", "platform/core/static/core/admin.css",
}
FONT = "apps/jobs/types/report/fonts/DejaVuSans.ttf"   # its LICENSE lies beside it


def locked(name):
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    return [Requirement(line.rstrip(" \\")) for line in text.splitlines() if re.match(r"[A-Za-z0-9]", line)]


def pins(name):
    return {(canonicalize_name(each.name), str(each.specifier).removeprefix("==")) for each in locked(name)}


def family(text):
    """Return the family of one licence, however its name is spelled; "" for one that is not allowed."""
    if re.search(r"GPL|GNU", text):
        return ""
    found = re.search(r"Apache|BSD|ISC|MIT|MPL|Mozilla|PSF|Python Software Foundation|Unlicense", text)
    return {"Mozilla": "MPL", "Python Software Foundation": "PSF"}.get(found[0], found[0]) if found else ""


def licence(name, about):
    """Return what a package says about its licence: as an expression, else in a few words, else by a classifier."""
    few = (about.get("License") or "").strip()
    classified = [each for each in about.get_all("Classifier", []) if each.startswith("License :: OSI Approved :: ")]
    return SAYS_NOTHING_IN_SHORT.get(name) or about.get("License-Expression") or few.partition("\n")[0] or " AND ".join(classified)


def allowed(text):
    """Whether one side of an OR is allowed, and all parts of it."""
    return any(all(family(part) in FAMILIES for part in side.split(" AND ")) for side in text.split(" OR "))


@pytest.fixture(scope="module")
def boms(tmp_path_factory):
    """What `make sbom` writes, with no way out to a network."""
    folder = tmp_path_factory.mktemp("sbom")
    nowhere = {"http_proxy": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1", "PATH": os.environ["PATH"]}
    command = ["make", "-o", "dev", "sbom", f"SBOM={folder}", f"PY={sys.executable}", "ARGS=--no-validate"]
    subprocess.run(command, cwd=ROOT, env=nowhere, check=True, capture_output=True, timeout=120)
    return {name: (folder / f"{name}.cdx.json").read_text(encoding="utf-8") for name in LOCKS}


@pytest.mark.parametrize("name", LOCKS)
def test_the_bill_of_materials_names_each_locked_package_with_its_version_and_its_hashes(boms, name):
    components = json.loads(boms[name])["components"]
    named = {(canonicalize_name(each["name"]), each["version"]) for each in components}
    unhashed = [each["name"] for each in components if not any(one.get("hashes") for one in each["externalReferences"])]

    assert (pins(name), []) == (named, unhashed)
    assert all(each["purl"].startswith("pkg:pypi/") for each in components)


def test_the_bill_of_materials_is_valid_cyclonedx_of_this_project(boms):
    """One for all, because to check takes seconds: that of S3 holds what is deployed."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    validator = JsonStrictValidator(SchemaVersion.V1_6)
    main = json.loads(boms["s3"])["metadata"]["component"]
    broken = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"type": "book", "name": "celery"}]}

    assert validator.validate_str(boms["s3"]) is None
    assert validator.validate_str(json.dumps(broken)) is not None
    assert ("latchwork", "application") == (main["name"], main["type"])


@pytest.mark.parametrize("name", LOCKS[1:])
def test_each_lock_holds_all_that_every_process_needs_in_the_same_versions(name):
    assert set() == pins("base") - pins(name)


@pytest.mark.parametrize("name", ["base", "s3"])
def test_each_package_that_is_deployed_has_a_licence_that_is_allowed(name):
    here = [each for each in locked(name) if each.marker is None or each.marker.evaluate()]
    about = {canonicalize_name(each.name): metadata.metadata(each.name) for each in here}
    versions = {(package, each["Version"]) for package, each in about.items()}
    told = {package: licence(package, each) for package, each in about.items() if package not in WEAK_COPYLEFT}

    assert set() == versions - pins(name)   # what was asked is what is locked
    assert {} == {package: text for package, text in told.items() if not allowed(text)}
    assert WEAK_COPYLEFT == {package for package in about if "LGPL" in licence(package, about[package])}


@pytest.mark.parametrize(("text", "verdict"), [
    ("MIT", True), ("MIT OR GPL-3.0-only", True), ("MIT AND GPL-3.0-only", False), ("AGPL-3.0-or-later", False),
    ("LGPL-3.0-only", False), ("GNU General Public License v3", False), ("Proprietary", False), ("", False),
    ("License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)", True), ("Apache-2.0 AND BSD-2-Clause", True),
])
def test_a_licence_is_allowed_by_its_family(text, verdict):
    assert verdict == allowed(text)


def test_what_a_browser_loads_is_either_ours_or_comes_with_a_locked_wheel():
    assert STATIC == {
        str(file.relative_to(ROOT)) for file in tracked(".js", ".mjs", ".css", ".svg", ".woff", ".woff2", ".map", ".wasm")
    }
    assert [FONT] == [str(file.relative_to(ROOT)) for file in tracked(".ttf", ".otf")]
    assert (ROOT / FONT).with_name("LICENSE").is_file()
    assert "drf-spectacular-sidecar" in {package for package, _ in pins("base")}   # Swagger UI and ReDoc


def test_hooks_are_local_or_pinned_to_a_whole_revision():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))

    loose = [each["repo"] for each in hooks["repos"]
             if each["repo"] != "local" and not re.fullmatch(r"[0-9a-f]{40}", str(each.get("rev")))]

    assert (loose, True) == ([], bool(hooks["repos"]))


@pytest.mark.parametrize("place", ["platform/core/x.py", "apps/jobs/x.py", "apps/jobs/transitions/x.py", "apps/jobs/engine/x.py"])
def test_the_linter_refuses_what_reads_code_out_of_data_and_text_as_markup(place):
    text = (
        "import pickle\n\nimport yaml\nfrom django.utils.safestring import mark_safe\n\n"
        "A = pickle.loads(b'')\nB = yaml.load('', Loader=yaml.Loader)\nC = eval('1')\nD = mark_safe(A)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format=concise", f"--stdin-filename={place}", "-"],
        cwd=ROOT, input=text, capture_output=True, text=True, check=False,
    )

    assert {"S301", "S307", "S308", "S506"} <= set(re.findall(r": (S\d{3}) ", done.stdout)), done.stdout
