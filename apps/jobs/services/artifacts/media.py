"""What a file is, by its first bytes: never by its name, which anybody may choose."""

import re

HEAD = 64 * 1024
UNKNOWN = "application/octet-stream"
PLAIN = "text/plain"
HTML = "text/html"
SVG = "image/svg+xml"
XML = "application/xml"
ZIP = "application/zip"
OFFICE = "application/vnd.openxmlformats-officedocument"
PARTS = {   # the first parts of an Office file's ZIP, whose magic number is that of any ZIP
    b"xl/": f"{OFFICE}.spreadsheetml.sheet",
    b"word/": f"{OFFICE}.wordprocessingml.document",
    b"ppt/": f"{OFFICE}.presentationml.presentation",
}
USUAL = {"image/x-ms-bmp": "image/bmp", "application/x-gzip": "application/gzip", "image/x-icon": "image/vnd.microsoft.icon"}
LEADING = {b"%PDF-": "application/pdf", b"%!PS": "application/postscript"}   # they may be text to their end
MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
BINARY = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")   # as the WHATWG's rules for sniffing have it
SKIPPED = re.compile(r"(?:\s|<!--.*?-->|<\?.*?\?>)*", re.DOTALL)
ACTIVE = re.compile(
    r"<(?:!doctype\s+html|html|head|body|script|iframe|h1|div|font|table|a|style|title|b|br|p|img|meta|link|form|object|embed)"
    r"[\s>/]", re.IGNORECASE,
)
DRAWING = re.compile(r"<(?:!doctype\s+)?(?:[\w.-]+:)?svg\b", re.IGNORECASE)


def sniff(head: bytes) -> str:
    """Return the media type of a file that begins with these bytes (`HEAD` of them, or all)."""
    if not head:
        return UNKNOWN
    for magic, found in LEADING.items():
        if head.startswith(magic):
            return found
    text = _text(head)
    return _binary(head) if text is None else _written(text)


def _text(head: bytes) -> str | None:
    encoding, start = next(((name, len(mark)) for mark, name in MARKS if head.startswith(mark)), ("utf-8", 0))
    try:
        text = head[start:].decode(encoding)
    except UnicodeDecodeError as exc:
        if len(head) < HEAD or exc.start < len(head) - start - 4:   # else only the last character was cut
            return None
        text = head[start:start + exc.start].decode(encoding)
    return None if BINARY.search(text) else text


def _written(text: str) -> str:
    """Tell markup from plain text; markup that a browser would run is never called plain."""
    begins = SKIPPED.match(text)
    rest = text[begins.end():] if begins else text
    if ACTIVE.match(rest):
        return HTML
    if DRAWING.match(rest):
        return SVG
    if not text.lstrip().startswith("<?xml") and not rest.startswith("<!DOCTYPE"):
        return PLAIN
    return SVG if DRAWING.search(rest) else XML


def _binary(head: bytes) -> str:
    if head.startswith(b"PK\x03\x04"):
        return next((found for part, found in PARTS.items() if b"[Content_Types].xml" in head and part in head), ZIP)
    import puremagic  # noqa: PLC0415  its tables are 1 MiB, in each worker, and few jobs read a foreign file

    try:
        found = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        return UNKNOWN
    names = (match.mime_type for match in found if match.mime_type)
    name = next(names, UNKNOWN)
    return USUAL.get(name, name)
