"""Text from anywhere in cells: formulas, control characters, other scripts, very long ones."""

import pytest

from apps.jobs.types.report.cells import cell, clean
from apps.jobs.types.report.csv_file import safe
from tests.jobs.types.report.conftest import a_failure, a_job, at, make

pytestmark = pytest.mark.usefixtures("db")
WIDE = ["\uff1d1", "\uff0d1", "\uff0b1", "\uff20x"]   # the full-width forms of = - + @
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\n=1", "  =cmd|' /C calc'!A0", "-", "\xa0=1", *WIDE]
HARMLESS = ["1=1", "a-b", "", "'quoted", "5 + 5", "x@y.z"]


@pytest.mark.parametrize("text", FORMULAS)
def test_what_a_spreadsheet_would_compute_is_text_in_csv(text):
    assert f"'{text}" == safe(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_other_text_stays_as_it_is(text):
    assert text == safe(text)


def messages(form, *texts):
    """Store a failure with each of the texts, and return what the report shows of them."""
    for number, text in enumerate(texts):
        a_failure(a_job(), finished=at(number), message=text)
    made = make("jobs_failures", form, filters={"details": True})
    return [row["message"] for row in (made.csv() if form == "csv" else made.sheet("failures"))]


def test_formulas_come_out_of_csv_as_text():
    assert ["'=1+1", "'-2", 'fine, "really"\nsecond line'] == messages("csv", "=1+1", "-2", 'fine, "really"\nsecond line')


def test_a_formula_is_text_in_xlsx_too():
    a_failure(a_job(), message='=HYPERLINK("http://evil.test")', error="https://evil.test/")
    book = make("jobs_failures", "xlsx", filters={"details": True}).book()

    found = {row[6].value: row[7] for row in book["failures"].iter_rows(min_row=2)}
    assert ("s", '=HYPERLINK("http://evil.test")') == (
        found["https://evil.test/"].data_type, found["https://evil.test/"].value,
    )
    assert all(each.hyperlink is None for row in book["failures"].iter_rows() for each in row)


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_every_script_survives(form):
    texts = ["Grüße, ½ ∑", "漢字かな", "שלום עולם", "😀👩‍👩‍👧", "a\tb"]

    assert texts == messages(form, *texts)


def test_text_that_looks_like_the_escape_of_a_character_is_escaped_itself():
    assert ["_x005F_x0041_"] == messages("xlsx", "_x0041_")   # as a spreadsheet shows it: _x0041_; openpyxl leaves it so


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_control_characters_become_visible(form):
    assert ["a�b�c�d�e"] == messages(form, "a\x01b\x1bc\x7fd\uffffe")


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_a_long_message_is_cut_with_a_mark(form):
    (message,) = messages(form, "é" * 4096)

    assert "é" * 1000 + "…" == message


def test_a_cell_is_never_longer_than_a_spreadsheet_holds():
    assert len(clean("😀" * 50_000).encode("utf-16-le")) // 2 < 32_767
    assert clean("x" * 10_001).endswith("… (and 1 characters more)")
    assert "half �" == cell("half \ud800")


def test_a_pdf_shows_what_its_font_has_and_marks_what_it_has_not():
    a_failure(a_job(), message="Grüße Ελληνικά Кириллица 漢 {nb} \x02 end", error="=Evil")

    text = "\n".join(make("jobs_failures", "pdf", filters={"details": True}).pages())
    assert "Grüße Ελληνικά Кириллица � {nb} � end" in text
    assert "=Evil" in text
