"""The table of the bench of locks, from figures that are written here."""

from bench.locks import __main__ as program
from bench.locks.measure import Figures
from bench.locks.tracing import Traced


def figures(p50, rate):
    return Figures(
        p50_ms=p50, p99_ms=p50 * 3, pairs_per_s=rate, least_of_a_process=9, most_of_a_process=11, statements_per_pair=2.0, unknown=0,
    )


def test_a_ratio_is_of_neighbours_in_time():
    measured = {
        ("v2", "warm", "ours"): [figures(10, 100), figures(40, 25), figures(20, 50)],
        ("v2", "warm", "seed"): [figures(20, 50), figures(80, 12.5), figures(50, 20)],
    }

    assert "  time x 0.50, rate x 2.00" == program._ratio(measured, "v2", "warm", "seed")


def test_the_table_has_each_step_and_each_case():
    traced = {"v2": [Traced(design="ours", step="warm acquire", statements=("Acquire",), requests=1, rounds={"prepare": 1})]}
    text = "\n".join(program._table({("v2", "warm", "ours"): [figures(10, 100)]}, traced))

    assert ("1 requests: Acquire (prepare in 1)" in text, "v2 warm       ours" in text) == (True, True)
