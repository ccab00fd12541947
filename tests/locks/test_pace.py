"""How often a waiter looks: what nothing moves at costs little, and who waits longest is served first."""

import heapq
import random

from locks.pace import SHORTEST, Pace


def test_a_lock_that_stays_held_is_looked_at_less_and_less_but_always_again():
    pace = Pace(longest=0.5)
    pauses = [pace.pause(7) for _ in range(12)]

    assert pauses[0] <= 0.02
    assert [True] * 4 == [0.25 <= pause <= 0.5 for pause in pauses[-4:]]


def test_who_was_passed_by_looks_sooner_than_a_newcomer_and_never_without_a_pause():
    old, new = Pace(longest=0.5, busy=True), Pace(longest=0.5, busy=True)
    for fence in range(1, 9):
        passed = old.pause(fence)

    assert passed < new.pause(9)
    assert [True] * 40 == [SHORTEST / 2 <= old.pause(fence) <= SHORTEST for fence in range(10, 60)][10:]


def test_a_lock_that_comes_to_rest_is_looked_at_seldom_even_by_who_was_passed_by():
    pace = Pace(longest=0.5, busy=True)
    for fence in range(1, 40):
        pace.pause(fence)
    pauses = [pace.pause(40) for _ in range(15)]

    assert pauses[-1] >= 0.25


class Always:
    """The pace that was: short pauses for newcomers, long ones for who has waited long."""

    def __init__(self, *, longest, busy):
        self.longest, self.next = longest, 0.02

    def pause(self, fence):
        pause, self.next = self.next, min(self.longest, self.next * 2)
        return random.uniform(pause / 2, pause)


def longest_wait(kind, *, waiters=8, seconds=120.0, held=0.04):
    """Return how long the unluckiest waits where eight take turns at one lock; time passes here only in numbers."""
    random.seed(7)
    free_at, fence, longest = 0.0, 1, 0.0
    paces = [kind(longest=0.5, busy=True) for _ in range(waiters)]
    begun = [0.0] * waiters
    looks = [(random.uniform(0, 0.1), who) for who in range(waiters)]
    heapq.heapify(looks)
    while looks[0][0] < seconds:
        now, who = heapq.heappop(looks)
        if now < free_at:
            heapq.heappush(looks, (now + paces[who].pause(fence), who))
            continue
        longest = max(longest, now - begun[who])
        fence, free_at = fence + 1, now + held
        paces[who], begun[who] = kind(longest=0.5, busy=True), free_at
        heapq.heappush(looks, (free_at + random.uniform(0, 0.06), who))
    return longest


def test_nobody_waits_many_turns():
    assert longest_wait(Pace) < 8 * 0.1 * 3


def test_without_ageing_somebody_would():
    assert longest_wait(Always) > 8 * 0.1 * 3
