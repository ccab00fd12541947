"""Charts show what they are given."""

import pytest

from bench import svg
from tests.bench.reports import parsed

NAMESPACE = "{http://www.w3.org/2000/svg}"


def elements(drawing, tag):
    return list(parsed(drawing).iter(NAMESPACE + tag))


def test_bars_are_as_long_as_their_values_to_one_another():
    drawing = svg.bars([svg.Bars(label="drain", values=(400.0, 100.0))], title="t")

    ours, theirs = (float(each.get("width")) for each in elements(drawing, "rect"))
    assert pytest.approx(4, rel=0.01) == ours / theirs


def test_a_value_that_was_not_measured_has_no_bar_and_says_so():
    drawing = svg.bars([svg.Bars(label="backlog", values=(400.0, None))], title="t")

    assert ("0", ["backlog", "400", "-"]) == (
        elements(drawing, "rect")[1].get("width"), [each.text for each in elements(drawing, "text")],
    )


def test_names_are_text_whatever_they_contain():
    drawing = svg.bars([svg.Bars(label="<b>&", values=(1.0,))], title='"<i>')

    assert ("<b>&", '"<i>') == (
        elements(drawing, "text")[0].text, parsed(drawing).get("aria-label"),
    )


def test_percentiles_stand_in_their_order_on_the_axis():
    drawing = svg.spans([svg.Span(label="idle", values=((4.0, 5.0, 50.0), None))], title="t", unit="ms")

    places = [float(each.get("cx")) for each in elements(drawing, "circle")]
    assert (3, sorted(places)) == (len(places), places)


def test_a_curve_that_doubles_is_twice_as_high_over_zero():
    drawing = svg.curves([svg.Curve(series=0, points=((1, 50.0), (2, 100.0)))], title="t")

    low, high = (178 - float(each.get("cy")) for each in elements(drawing, "circle"))
    assert pytest.approx(2, rel=0.01) == high / low


@pytest.mark.parametrize("most", [0.004, 0.3, 1, 7.2, 99, 100, 101, 5216, 1_000_000])
def test_linear_ticks_reach_the_greatest_value_in_few_steps(most):
    ticks = svg.linear_ticks(most)

    assert (0, True, True) == (ticks[0], ticks[-1] >= most * 0.999, 3 <= len(ticks) <= 7)


@pytest.mark.parametrize(("least", "most"), [(4.2, 6.1), (1, 10), (0.3, 1900), (5, 5)])
def test_logarithmic_ticks_enclose_the_values(least, most):
    ticks = svg.log_ticks(least, most)

    assert (True, True, sorted(set(ticks))) == (ticks[0] <= least, ticks[-1] >= most, ticks)
