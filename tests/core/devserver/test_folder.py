import os
import subprocess
import sys

import pytest

from config.settings.env import ROOT
from core.devserver import addresses, folder, secrets
from core.errors import Misconfigured


@pytest.fixture
def impossible(tmp_path):
    """A folder that nobody can make, root neither: its parent is a file."""
    (tmp_path / "file").touch()
    return tmp_path / "file" / "data"


def test_a_folder_is_made_for_its_owner_alone(tmp_path):
    folder.make(tmp_path / "a" / "data")

    assert 0o700 == (tmp_path / "a" / "data").stat().st_mode & 0o777


@pytest.mark.parametrize("use", [folder.make, secrets.secret_key, addresses.read])
def test_what_cannot_be_used_is_told_by_its_setting(impossible, use):
    with pytest.raises(Misconfigured) as refused:
        use(impossible)

    (sentence,) = refused.value.problems
    assert sentence.startswith(f"DATA_DIR={impossible} cannot be used (Not a directory): give a folder")


def test_a_command_says_so_without_a_traceback(impossible):
    told = subprocess.run(
        [sys.executable, "manage.py", "version"], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "DATA_DIR": str(impossible), "DJANGO_SETTINGS_MODULE": "config.settings.local"},
    )

    heading, sentence = told.stderr.splitlines()
    assert (1, "The settings need attention:") == (told.returncode, heading)
    assert sentence.startswith(f"  - DATA_DIR={impossible} cannot be used")
