"""What must never come into the repository: unpinned packages, secrets, text that is taken for markup, a reader of code."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LOCKS = sorted(path.name for path in (ROOT / "requirements").glob("*.txt"))
SECRETS = re.compile(
    r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----|\blw_[0-9a-f]{8}_[A-Za-z0-9_-]{43}\b|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}\b"
    r"|\bxox[abpr]-[A-Za-z0-9-]{20,}|\bsk_live_[A-Za-z0-9]{20,}",
)
MARKUP = re.compile(r"\bmark_safe\b|\bSafeString\(|\|\s*safe\b|autoescape\s+off|\bsafeseq\b|\.innerHTML\b|\bdocument\.write\b")
CODE = re.compile(r"\b(?:pickle|marshal|shelve|dill)\.loads?\(|\byaml\.(?:unsafe_)?load\(|(?<![.\w])(?:eval|exec)\(")
OUR_OWN_CHILD = "apps/jobs/engine/tray.py"   # unpickles what its own child wrote into memory that they share


def tracked(*endings: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False).stdout.decode()
    names = [name for name in listed.split("\0") if name.endswith(endings)]
    if not listed:
        pytest.skip("this is no checkout of git: nobody knows what belongs to the repository")
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def found(pattern: re.Pattern[str], files: list[Path]) -> list[str]:
    return [
        f"{file.relative_to(ROOT)}: {match[0]}" for file in files
        for match in pattern.finditer(file.read_text(encoding="utf-8", errors="replace"))
    ]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_is_pinned_to_a_version_and_its_hashes(lock):
    text = (ROOT / "requirements" / lock).read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]

    loose = [line.split()[0] for line in lines if not re.match(r"[A-Za-z0-9._\[\],-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line)]

    assert (loose, len(lines) > 5) == ([], True)


def test_no_secret_is_in_the_repository():
    assert found(SECRETS, tracked("")) == []


def test_a_secret_would_be_found(tmp_path):
    token = "lw_" + "0a" * 4 + "_" + "x" * 43
    (ROOT / ".cache").mkdir(exist_ok=True)
    file = ROOT / ".cache" / f"{tmp_path.name}.txt"
    file.write_text(f"TOKEN={token}\n")
    try:
        assert len(found(SECRETS, [file])) == 1
    finally:
        file.unlink()


def test_no_text_is_taken_for_markup():
    ours = [file for file in tracked(".py", ".html", ".js") if file.is_relative_to(ROOT / "platform") or file.is_relative_to(ROOT / "apps")]

    assert found(MARKUP, ours) == []
    assert MARKUP.search("{{ payload|safe }}")


def test_nothing_reads_code_out_of_data():
    ours = [file for file in tracked(".py") if not file.is_relative_to(ROOT / "tests")]
    where = {line.split(":")[0] for line in found(CODE, ours)}

    assert where <= {OUR_OWN_CHILD}
    assert CODE.search("x = eval(text)")
