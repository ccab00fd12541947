"""The shape of the tree, where a slip would only be felt much later."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LINES = 400
ROOMS = ("platform", "apps", "tests", "bench", "locks")
FORBIDDEN_NAMES = {"utils", "helpers", "common", "misc"}


def code_files():
    return [file for room in ROOMS for file in sorted((ROOT / room).rglob("*.py")) if "migrations" not in file.parts]


def shadowing(*folders):
    """Return what in these folders would be imported in place of a module of the standard library."""
    names = [entry for folder in folders for entry in folder.iterdir() if not entry.name.startswith(".")]
    return [
        str(entry)
        for entry in names
        if entry.stem in sys.stdlib_module_names
        and (entry.suffix == ".py" or (entry.is_dir() and (entry / "__init__.py").exists()))
    ]


def test_nothing_at_the_root_or_in_platform_shadows_a_standard_module():
    assert [] == shadowing(ROOT, ROOT / "platform")


def test_an_init_file_in_platform_would_be_noticed(tmp_path):
    (tmp_path / "platform").mkdir()
    innocent = shadowing(tmp_path)
    (tmp_path / "platform" / "__init__.py").touch()

    assert ([], [str(tmp_path / "platform")]) == (innocent, shadowing(tmp_path))


def test_the_standard_platform_module_is_the_one_that_is_imported():
    code = "import platform; print(platform.system())"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert "Linux" == answer.stdout.strip() or sys.platform != "linux"


def test_no_code_file_is_longer_than_a_person_reads_at_once():
    long = {str(file.relative_to(ROOT)): n for file in code_files() if (n := len(file.read_bytes().splitlines())) > LINES}

    assert {} == long


def test_no_module_is_a_drawer_for_everything():
    assert [] == [str(file.relative_to(ROOT)) for file in code_files() if file.stem in FORBIDDEN_NAMES]


@pytest.mark.parametrize("room", ["tests", "apps", "platform/core", "platform/config"])
def test_every_folder_with_code_is_a_package(room):
    folders = {file.parent for file in (ROOT / room).rglob("*.py")}

    assert [] == sorted(str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").exists())


def test_all_that_is_not_a_test_is_checked_by_its_types():
    checked = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]["packages"]

    assert {"config", "core", "apps", "bench", "locks"} == set(checked)
