"""What a file is that is no picture of ours, so that the refusal can say it. A guess for people, nothing depends on it."""

import re

KNOWN = {
    b"II*\0": "a TIFF picture", b"MM\0*": "a TIFF picture", b"BM": "a BMP picture", b"\0\0\1\0": "a Windows icon",
    b"8BPS": "a Photoshop document", b"\0\0\0\x0cjP": "a JPEG 2000 picture", b"\xff\x0a": "a JPEG XL picture",
    b"%!PS": "a PostScript program", b"\xc5\xd0\xd3\xc6": "a PostScript program", b"%PDF": "a PDF document",
    b"PK\3\4": "a ZIP archive", b"\x1f\x8b": "a gzip archive", b"\x7fELF": "a program", b"MZ": "a program",
    b"RIFF": "a RIFF file (sound or film)", b"qoif": "a QOI picture", b"\xff\xd8": "the beginning of a JPEG",
}   # fmt: skip
SVG = re.compile(rb"<(?:[a-z]+:)?svg[\s>]", re.IGNORECASE)
LOOKED_AT = 4096


def named(data: bytes) -> str:
    """Return what the file seems to be, with its article."""
    head = data[:LOOKED_AT]
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"<"):
        return "an SVG drawing" if SVG.search(text) else "HTML or XML"
    if head[4:8] == b"ftyp":
        return "an ISO-media file (HEIC, AVIF or a film)"
    return next((name for beginning, name in KNOWN.items() if head.startswith(beginning)), "no picture that is known here")
