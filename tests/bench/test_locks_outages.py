"""What the bench of outages says of figures that are written here."""

from bench.locks.outages import Use, _line, _p99


def uses(*seconds, error=""):
    return [Use(began=number, acquire=each, release=each / 2, error=error) for number, each in enumerate(seconds)]


def test_a_line_says_how_long_pairs_took_and_what_failed():
    said = _line("one killed", [*uses(*[0.02] * 98, 2.0), *uses(4.0, error="LockUnknown")])

    assert all(text in said for text in (" 99 pairs", "p50   30.0", " 4.00 s", "{'LockUnknown': 1}"))


def test_what_failed_is_in_no_quantile():
    assert 0.03 == round(_p99([*uses(*[0.02] * 50), *uses(9.0, error="LockHeld")]), 3)


def test_of_nothing_there_is_no_quantile_and_a_line_all_the_same():
    assert "0 pairs" in _line("two killed", [])
