import io

import pytest

from core.devserver.console import LONGEST, Console, Lines


class Screen(io.StringIO):
    def isatty(self):
        return True


def test_a_line_stands_behind_its_name():
    stream = io.StringIO()
    Console(stream, width=6).line("web", "hello")

    assert "web    │ hello\n" == stream.getvalue()


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_are_for_eyes_that_want_them(monkeypatch, name, value):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    seen = Console(Screen()).paint("x", "31")
    monkeypatch.setenv(name, value)

    assert ("\x1b[31mx\x1b[0m", "x", "x") == (seen, Console(Screen()).paint("x", "31"), Console(io.StringIO()).paint("x", "31"))


def test_each_name_has_a_colour_of_its_own_and_keeps_it(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    screen = Screen()
    console = Console(screen)
    for name in ("web", "worker", "web"):
        console.line(name, "")
    first, second, third = (line.split("m")[0] for line in screen.getvalue().splitlines())

    assert (True, True) == (first == third, first != second)


def test_a_reader_that_went_away_is_noted_and_not_an_error():
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    console = Console(Closed())
    console.line("web", "hello")
    console.line("web", "again")

    assert console.broken


def test_lines_are_whole_however_they_arrive():
    lines = Lines()

    assert ([], ["one", "two"], ["thrée"], ["last"]) == (
        lines.feed(b"on"),
        lines.feed(b"e\ntwo\r\nthr\xc3"),
        lines.feed(b"\xa9e\nlast"),
        lines.feed(b""),
    )


def test_what_is_no_text_is_shown_all_the_same():
    assert ["\ufffdx"] == Lines().feed(b"\xffx\n")


def test_a_line_without_end_is_cut():
    assert [LONGEST + 1] == [len(line) for line in Lines().feed(b"x" * (LONGEST + 1))]
