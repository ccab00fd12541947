"""Say whether a history is that of fenced mutexes, in time linear in its length (after sorting).

Every grant has a token of its own, which forces the order of grants, so that no search is needed: each lock's grants are
sorted by token once and walked once. Grant i takes effect between its call and its return; it ends at some time after its
holder last trusted it. Such an order exists exactly if no grant returned before an earlier one was called, nor before an
earlier one was last trusted.
"""

import collections
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from locks.testing.history import Event

OVERLAP_SECONDS = 1e-3     # what two readings of one clock may differ by between the answer and its line


@dataclass(slots=True)
class Grant:
    """One lease as its holder was told."""

    name: str
    token: int
    nonce: str
    pid: int
    called: float
    returned: float
    deadline: float
    over: float = math.inf

    @property
    def trusted_until(self) -> float:
        return min(self.deadline, self.over)


@dataclass(frozen=True, slots=True)
class Violation:
    """One rule that the history breaks. `rule` is a property of the locks' design: P1 and so on, in words."""

    rule: str
    name: str
    detail: str


@dataclass(slots=True)
class Verdict:
    """What was found, and how much there was to find it in."""

    violations: list[Violation] = field(default_factory=list)
    figures: collections.Counter[str] = field(default_factory=collections.Counter)
    grants: dict[tuple[str, int], Grant] = field(default_factory=dict)

    def broken(self, rule: str, name: str, detail: object = "") -> None:
        self.violations.append(Violation(rule, name, str(detail)))

    @property
    def rules(self) -> set[str]:
        return {violation.rule for violation in self.violations}


def check(
    events: Iterable[Event], *, tick_seconds: float = 1.5, lease_seconds: float | None = None,
    rows: Mapping[str, int] | None = None, recorded: Iterable[tuple[str, int]] | None = None,
) -> Verdict:
    """Check every rule that needs no store.

    `tick_seconds` is how long after its deadline a lost lease may be reported; with `lease_seconds`, nobody may see the grant
    of an unknown acquire for longer than that. `rows` are the tokens of the rows at the end; `recorded` the (name, token) of
    all audit entries about forced releases.
    """
    verdict, events = Verdict(), list(events)
    _collect(verdict, events)
    by_name: dict[str, list[Grant]] = collections.defaultdict(list)
    for grant in verdict.grants.values():
        by_name[grant.name].append(grant)
    for name, grants in by_name.items():
        grants.sort(key=lambda grant: grant.token)
        _check_tokens(verdict, name, grants)
        _check_trust(verdict, name, grants)
    _check_answers(verdict, events, lease_seconds)
    _check_losses(verdict, events, tick_seconds)
    if rows is not None:
        for grant in verdict.grants.values():
            if rows.get(grant.name, math.inf) < grant.token:
                verdict.broken("a row fell below a granted token", grant.name, grant.token)
    if recorded is not None:
        entries = set(recorded)
        for event in events:
            if event["event"] == "forced" and event["how"] == "freed" and (event["name"], event["token"]) not in entries:
                verdict.broken("a forced release without an audit entry", event["name"], event["token"])
    verdict.figures["grants"] = len(verdict.grants)
    return verdict


def is_fenced_mutex(grants: Iterable[Grant]) -> bool:
    """Say whether one lock's grants can be put in an order in which each is alone and tokens rise."""
    called = ended = -math.inf
    for grant in sorted(grants, key=lambda grant: grant.token):
        called = max(called, grant.called)
        if grant.returned < max(called, ended):
            return False
        ended = max(ended, grant.trusted_until)
    return True


def _collect(verdict: Verdict, events: list[Event]) -> None:
    calls: dict[str, float] = {}
    for event in events:
        kind = event["event"]
        if kind == "acquire.call":
            calls[event["op"]] = event["at"]
        elif kind == "acquire.return":
            verdict.figures[f"acquire {event['outcome']}"] += 1
            if event["outcome"] == "held":
                _add(verdict, event, calls[event["op"]])
        elif kind == "killed":
            for grant in verdict.grants.values():
                if grant.pid == event["victim"]:
                    grant.over = min(grant.over, event["at"])
        else:
            _count(verdict, event)
            _bound(verdict.grants.get((event.get("name", ""), event.get("token", 0))), event)


def _count(verdict: Verdict, event: Event) -> None:
    match event["event"]:
        case "renewed":
            verdict.figures["renewals"] += 1
        case "lost":
            verdict.figures["lost leases"] += 1
        case "granted":
            verdict.figures["takeovers"] += event.get("victim") is not None
            verdict.figures["questions"] += event.get("questions", 0)
        case "forced" | "reaped" | "cancelled":
            verdict.figures[f"{event['event']} {event.get('how', '')}".strip()] += 1


def _bound(grant: Grant | None, event: Event) -> None:
    """Move the end of a grant's trust as the event says."""
    if grant is None:
        return
    if event["event"] == "renewed" and event["at"] < grant.over:
        grant.deadline = max(grant.deadline, event["deadline"])
    elif event["event"] in ("release.call", "lost", "force.call"):
        grant.over = min(grant.over, event["at"])


def _add(verdict: Verdict, event: Event, called: float) -> None:
    key = (event["name"], event["token"])
    if key in verdict.grants:
        verdict.broken("one token, two grants", *map(str, key))
        return
    verdict.grants[key] = Grant(
        name=event["name"], token=event["token"], nonce=str(event["nonce"]), pid=event["pid"], called=called,
        returned=event["at"], deadline=event["deadline"],
    )


def _check_tokens(verdict: Verdict, name: str, grants: list[Grant]) -> None:
    nonces: dict[str, int] = {}
    called = -math.inf
    for grant in grants:
        if nonces.setdefault(grant.nonce, grant.token) != grant.token:
            verdict.broken("one call, two tokens", name, grant.token)
        if grant.returned < called:
            verdict.broken("a token did not rise", name, grant.token)
        called = max(called, grant.called)


def _check_trust(verdict: Verdict, name: str, grants: list[Grant]) -> None:
    latest = -math.inf
    found = False
    # by start and not by token: with falling tokens, that would report overlaps which were none
    for grant in sorted(grants, key=lambda grant: grant.returned):
        if grant.returned < min(grant.trusted_until, latest) - OVERLAP_SECONDS:
            found = True
            verdict.broken("two holders at a time", name, f"{grant.token}, for {latest - grant.returned:.3f} s")
        latest = max(latest, grant.trusted_until)
    risen = all(violation.name != name for violation in verdict.violations)
    if risen and not found and not is_fenced_mutex(_allowing(grants)):
        verdict.broken("not a fenced mutex", name)


def _allowing(grants: list[Grant]) -> list[Grant]:
    """Return the grants with the slack that their lines need."""
    return [
        Grant(g.name, g.token, g.nonce, g.pid, g.called, g.returned, g.deadline, g.trusted_until - OVERLAP_SECONDS) for g in grants
    ]


def _check_answers(verdict: Verdict, events: list[Event], lease_seconds: float | None) -> None:
    """Whoever was told "not held" never turns out to be the holder, and an unknown one not for longer than a lease.

    A caller whose very grant an operator had ended, after it was seen and before its answer came, was rightly told so.
    """
    answers = {str(event.get("nonce")): event for event in events if event["event"] == "acquire.return"}
    ill = _fault_times(events)
    forced = {(event["name"], event["token"]): event["at"] for event in events if event["event"] == "forced" and event["how"] == "freed"}
    seen = [
        (str(event[key]), event) for event in events
        for key in ("holder", "victim") if event["event"] in ("acquire.return", "granted") and event.get(key)
    ]
    reported: set[str] = set()
    for nonce, event in seen:
        answer = answers.get(nonce)
        if answer is None or nonce in reported:
            continue
        if answer["outcome"] in ("busy", "unavailable"):
            if event["at"] <= forced.get((event["name"], event.get("holder_token")), -math.inf) <= answer["at"]:
                continue
            reported.add(nonce)
            verdict.broken("told not held, and was the holder", event["name"], nonce)
        elif answer["outcome"] == "unknown":
            verdict.figures["unknown acquires that were seen as holders"] += 1
            if lease_seconds is None:
                continue
            well = event["at"] - answer["at"] - _overlap(ill, answer["at"], event["at"])
            if well > 2 * lease_seconds:    # granted late, then seen for a whole lease by whoever takes over
                reported.add(nonce)
                verdict.broken("an unknown acquire lasted", event["name"], f"{nonce}: {well:.1f} s without faults")


def _check_losses(verdict: Verdict, events: list[Event], tick_seconds: float) -> None:
    """Look for losses that were reported after the deadline, by a process that did not stand still."""
    stops = _stops(events)
    for event in events:
        if event["event"] != "lost":
            continue
        grant = verdict.grants.get((event["name"], event["token"]))
        if grant is None:
            continue
        late = event["at"] - grant.deadline - _overlap(stops.get(event["pid"], []), grant.deadline - tick_seconds, event["at"])
        if late > tick_seconds:
            verdict.broken("a loss was reported late", event["name"], f"{event['token']}: {late:.2f} s after its deadline")


def _stops(events: list[Event]) -> dict[int, list[tuple[float, float]]]:
    begun: dict[int, float] = {}
    found: dict[int, list[tuple[float, float]]] = collections.defaultdict(list)
    for event in events:
        if event["event"] == "stopped":
            begun[event["victim"]] = event["at"]
        elif event["event"] == "continued" and event["victim"] in begun:
            found[event["victim"]].append((begun.pop(event["victim"]), event["at"]))
    for pid, at in begun.items():
        found[pid].append((at, math.inf))
    return found


def _fault_times(events: list[Event]) -> list[tuple[float, float]]:
    begun: dict[str, float] = {}
    found = []
    for event in events:
        if event["event"] == "fault":
            begun[event["fault"]] = event["at"]
        elif event["event"] == "heal" and event["fault"] in begun:
            found.append((begun.pop(event["fault"]), event["at"]))
    return found + [(at, math.inf) for at in begun.values()]


def _overlap(spans: Iterable[tuple[float, float]], begin: float, end: float) -> float:
    """Return how much of [begin, end] the spans cover."""
    covered, reached = 0.0, begin
    for start, stop in sorted(spans):
        covered += max(0.0, min(stop, end) - max(start, reached))
        reached = max(reached, min(stop, end))
    return covered


@dataclass(frozen=True, slots=True, order=True)
class Wait:
    """How long a lock had no grant after a fault was healed: without the time of other faults, and by the clock."""

    well_seconds: float
    seconds: float
    name: str
    fault: str


def waits(events: Iterable[Event]) -> list[Wait]:
    """Return, for each heal and lock, the wait until the next grant; the longest first."""
    events = list(events)
    grants: dict[str, list[float]] = collections.defaultdict(list)
    for event in events:
        if event["event"] == "acquire.return" and event["outcome"] == "held":
            grants[event["name"]].append(event["at"])
    ill = _fault_times(events)
    found = []
    for event in events:
        if event["event"] != "heal":
            continue
        for name, times in grants.items():
            granted = next((at for at in times if at >= event["at"]), None)
            if granted is not None:
                seconds = granted - event["at"]
                found.append(Wait(seconds - _overlap(ill, event["at"], granted), seconds, name, event["fault"]))
    return sorted(found, reverse=True)
