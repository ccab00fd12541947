"""Names of files, which come from anybody and are shown to everybody."""

import unicodedata

MOST_BYTES = 255     # what common file systems take
MOST_SUFFIX = 20
NAMELESS = "artifact"
JOINERS = frozenset("\u200c\u200d")   # without them several scripts are misspelt


def clean(name: str) -> str:
    """Return a name that is safe to store, to show and to save under: one line, one part of a path, 255 bytes at most.

    What stands before a slash or backslash, control characters, marks that turn the direction of writing, and dots and
    blanks at both ends are left out; of a name that is too long the end stays. Nothing left: `artifact`.
    """
    last = name.replace("\\", "/").rpartition("/")[2]
    kept = "".join(letter for letter in unicodedata.normalize("NFC", last) if _may_stand(letter))
    return _short(" ".join(kept.split()).strip(". ")) or NAMELESS


def _may_stand(letter: str) -> bool:
    if letter in JOINERS or letter == " ":
        return True
    # Control, format, surrogate and unassigned characters, separators of lines and paragraphs. Among the format characters
    # are the marks that turn the direction of writing: with them "gpj.exe" is shown as "exe.jpg".
    return unicodedata.category(letter) not in {"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"}


def _short(name: str) -> str:
    if len(name.encode()) <= MOST_BYTES:
        return name
    stem, dot, suffix = name.rpartition(".")
    end = (dot + suffix).encode() if stem and len(suffix.encode()) <= MOST_SUFFIX else b""
    room = MOST_BYTES - len(end)
    return (name.encode()[:room].decode(errors="ignore").rstrip(". ") + end.decode()).strip(". ")
