"""The keys that seal in a checkout are made once, kept private, and can be rotated in their file."""

import secrets as random
import stat

import pytest

from core.devserver import secrets
from core.errors import Misconfigured
from core.sealing import keys


def test_a_key_is_made_once_and_is_its_owners_alone(tmp_path):
    first = secrets.seal_keys(tmp_path)

    assert first == secrets.seal_keys(tmp_path)
    assert (1, keys.BYTES) == (len(first), len(keys.decoded(first[0])))
    assert 0o600 == stat.S_IMODE((tmp_path / "seal_keys").stat().st_mode)


def test_another_key_may_be_put_before_it(tmp_path):
    [old] = secrets.seal_keys(tmp_path)
    new = random.token_urlsafe(keys.BYTES)
    secrets.keep(tmp_path, "seal_keys", f"{new}, {old}\n")

    assert [new, old] == secrets.seal_keys(tmp_path)


def test_a_file_that_holds_something_else_is_named(tmp_path):
    secrets.keep(tmp_path, "seal_keys", "nonsense")

    with pytest.raises(Misconfigured, match="seal_keys must be keys"):
        secrets.seal_keys(tmp_path)
