import gzip
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.jobs.services.artifacts.media import ACTIVE, HEAD, sniff
from tests.support.artifact_files import PNG, zipped

OFFICE = "application/vnd.openxmlformats-officedocument"


def drawn(form):
    from PIL import Image

    written = io.BytesIO()
    Image.new("RGB", (3, 3)).save(written, form)
    return written.getvalue()


@pytest.mark.parametrize(("content", "found"), [
    (PNG, "image/png"),
    (b"%PDF-1.7\nall of it is text", "application/pdf"),
    (zipped("a.txt"), "application/zip"),
    (zipped("[Content_Types].xml", "xl/workbook.xml"), f"{OFFICE}.spreadsheetml.sheet"),
    (zipped("[Content_Types].xml", "word/document.xml"), f"{OFFICE}.wordprocessingml.document"),
    (zipped("xl/nothing.txt"), "application/zip"),
    (gzip.compress(b"x", mtime=0), "application/gzip"),
    (b"a,b\n1,2\n", "text/plain"),
    ("größer".encode(), "text/plain"),
    ("größer".encode("utf-16"), "text/plain"),
    (b"BMW is no bitmap, and MZ no program", "text/plain"),
    (b"1 < 2 and <b is no tag", "text/plain"),
    (b"", "application/octet-stream"),
    (bytes(range(256)), "application/octet-stream"),
    (b"<?xml version='1.0'?><feed/>", "application/xml"),
])
def test_a_file_is_what_its_bytes_say(content, found):
    assert sniff(content) == found


@pytest.mark.parametrize("form", ["JPEG", "GIF", "WEBP", "TIFF", "BMP"])
def test_images_are_known(form):
    assert sniff(drawn(form)) == f"image/{form.lower()}"


@pytest.mark.parametrize("content", [
    b"<!DOCTYPE HTML>", b"<html lang=en>", b"\xef\xbb\xbf<html>", b"  \n<script src=//evil></script>", b"<IMG src=x onerror=y>",
    b"<!-- <b>not yet</b> --><body>", b"<?xml version='1.0'?><html>", "<script>".encode("utf-16"), b"<iframe/src=x>",
    b"<a href=javascript:x>", b"\x0c<h1>",
])
def test_what_a_browser_could_take_for_a_page_is_called_one(content):
    assert sniff(content.ljust(80)) == "text/html"


@pytest.mark.parametrize("content", [
    b"<svg xmlns='http://www.w3.org/2000/svg'>", b"<SVG onload=x>", b"<?xml version='1.0'?>\n<!-- a -->\n<svg>",
    b"<!DOCTYPE svg PUBLIC '-//W3C//DTD SVG 1.1//EN' 'x'><svg>", b"<?xml version='1.0'?><s:svg xmlns:s='x'>",
    b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'b'>]><svg>",
])
def test_a_drawing_that_can_run_scripts_is_called_one(content):
    assert sniff(content) == "image/svg+xml"


def test_text_that_was_cut_within_a_character_is_text():
    head = ("x" + "é" * HEAD).encode()[:HEAD]

    assert sniff(head) == "text/plain"


def test_bytes_that_are_no_text_at_their_end_are_none():
    assert sniff(b"x" * 100 + b"\xff") == "application/octet-stream"


@given(st.binary(max_size=2000))
def test_any_bytes_have_a_type(content):
    assert sniff(content).count("/") == 1


@given(st.text(max_size=50), st.sampled_from(["<script>", "<html>", "<svg>", "<iframe src=x>"]))
def test_a_page_after_blanks_and_comments_is_never_plain(text, tag):
    comment = "<!--" + text.replace("--", "").replace("\r", "").strip("-") + "-->"

    assert sniff(f" \n{comment}\t{tag}".encode(errors="replace")) != "text/plain" or not ACTIVE.match(tag)
