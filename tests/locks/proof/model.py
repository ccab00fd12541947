"""Every order of events that a few clients, their copies under way and the passing of time can produce, one after the other.

What a row does (`locks.transition`) and what a client reads off it (`locks.judging`) is the real code; what is modelled is the
network (copies arrive late, twice or never; answers get lost) and time. Time is one bet: a takeover of a version is sent only
after its holder has stopped trusting it. So `expire` may happen at any moment, ends the trust that rests on the version, and
allows observers to take it over. Tokens are small numbers that clients guess badly.

A `Design` switches single rules off, to show that each is needed.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from locks import transition
from locks.changes import (
    Acquire,
    AcquireExact,
    Bury,
    Change,
    Create,
    ForceRelease,
    RaiseFloor,
    Release,
    Renew,
    Retire,
)
from locks.judging import Step, judge
from locks.row import Row, State, Version
from tests.locks.proof.world import Client, Design, Found, Scenario, World


def explore(scenario: Scenario, design: Design | None = None, *, to_first_fault: bool = False, limit: int = 400_000) -> Found:
    """Visit every state that can be reached, or all up to the first fault."""
    model = Model(scenario, design or Design())
    start = World(
        row=scenario.row, floor=0, highest=scenario.row.fence if scenario.row else 0, expired=frozenset(), flying=(),
        clients=tuple(Client(left=scenario.operations if role == "lock" else 1) for role in scenario.roles),
        told=frozenset(), forced=frozenset(),
    )
    found, seen, waiting = Found(), {start}, deque([start])
    while waiting:
        world = waiting.popleft()
        found.states += 1
        assert found.states < limit, "the scenario is too large to be explored whole"
        if world.fault:
            found.faults.add(world.fault)
            if to_first_fault:
                break
            continue    # one fault a path is enough
        found.ghosts += world.row is not None and world.row.state == State.HELD and world.row.nonce in world.told
        found.grants += world.row is not None and world.row.state == State.HELD
        for following in model.steps(world):
            if following not in seen:
                seen.add(following)
                waiting.append(following)
    return found


def past(fence: int, world: World) -> bool:
    """Say whether the row has had a higher token: then it never has this one again (which the model checks)."""
    return world.row is not None and world.row.fence > fence


class Model:
    def __init__(self, scenario: Scenario, design: Design) -> None:
        self.scenario, self.design = scenario, design

    def steps(self, world: World) -> Iterator[World]:
        for following in self.unchecked(world):
            yield self.checked(following)

    def unchecked(self, world: World) -> Iterator[World]:
        for index in range(len(world.flying)):
            yield from self.deliver(world, index)
        if world.row is not None and world.row.state == State.HELD and world.row.version not in world.expired:
            yield replace(world, expired=world.expired | {world.row.version})
        for index, client in enumerate(world.clients):
            yield from self.act(world, index, client)

    def checked(self, world: World) -> World:
        world = self.tidied(world)
        trusting = [client for client in world.clients if client.version and not self.expired(world, client.version)]
        if sum(client.version.fence not in world.forced for client in trusting) > 1:
            return replace(world, fault="two holders")
        return world

    def tidied(self, world: World) -> World:
        """Leave out what can make no difference any more, so that states that behave alike are one."""
        fences = {client.version.fence for client in world.clients if client.version}
        fences |= {client.change.fence for client in world.clients if isinstance(client.change, Acquire | AcquireExact | Renew)}
        fences |= {world.row.fence} if world.row is not None else set()
        expired = frozenset(version for version in world.expired if version.fence in fences)
        flying = tuple(
            (index, change) for index, change in world.flying
            if world.clients[index].change == change or self.may_apply(change, world)
        )
        if expired == world.expired and flying == world.flying:
            return world
        return replace(world, expired=expired, flying=flying)

    def may_apply(self, change: Change, world: World) -> bool:
        """Say whether a copy can still take effect: what needs a version that is past cannot."""
        match change:
            case RaiseFloor():
                return change.fence > world.floor
            case Acquire():
                return not self.design.token_guard or change.fence > (world.row.fence if world.row else 0)
            case AcquireExact() | Retire() | Bury():
                return not past(change.seen.fence, world)
            case Renew() | Release() | ForceRelease():
                return not past(change.fence, world)
        return True

    def expired(self, world: World, version: Version) -> bool:
        """Say whether the time of this version is over: a later one's end comes after an earlier one's."""
        return any(v.fence == version.fence and v.hb >= version.hb for v in world.expired)

    def holds(self, change: Change, row: Row | None) -> bool:
        if isinstance(change, Acquire) and not self.design.token_guard:
            return row is not None and row.state == State.FREE
        return transition.holds(change, row)

    def deliver(self, world: World, index: int) -> Iterator[World]:
        """Let one copy arrive, or vanish; its answer reaches the client, or gets lost."""
        sender, change = world.flying[index]
        without = replace(world, flying=world.flying[:index] + world.flying[index + 1:])
        if len(world.flying) == self.scenario.copies:
            yield without    # vanishing only matters where it makes room: a copy that never arrives may as well fly on
        if isinstance(change, RaiseFloor):
            applied, shown = change.fence > world.floor, None
            after = replace(without, floor=max(world.floor, change.fence))
        else:
            applied, shown = self.holds(change, world.row), world.row
            after = without
            if applied:
                after = self.written(without, change)
        yield after
        if world.clients[sender].change == change:
            yield from self.answered(after, sender, applied=applied, row=shown)

    def written(self, world: World, change: Change) -> World:
        row = transition.effect(change, world.row)
        fault = world.fault
        if isinstance(change, Acquire | AcquireExact):
            if change.fence <= world.highest:
                fault = "a token did not rise"
            world = replace(world, highest=max(world.highest, change.fence))
        if isinstance(change, ForceRelease):
            world = replace(world, forced=world.forced | {change.fence}, highest=max(world.highest, change.fence + 1))
            operator = world.clients[self.scenario.roles.index("force")]
            if operator.seen is not None and operator.seen.fence != change.fence:
                fault = "an innocent holder was hit"
        return replace(world, row=row, fault=fault)

    def act(self, world: World, index: int, client: Client) -> Iterator[World]:
        """Let a client do what it may do by itself."""
        role = self.scenario.roles[index]
        if client.doing == "idle" and client.left:
            yield from getattr(self, f"begin_{role}")(world, index, client)
        elif client.change is not None:
            yield from self.wait(world, index, client)
        elif client.doing == "floor":
            above = max(client.above, world.floor if self.design.floor_after_row else 0)
            yield from self.exact(world, index, replace(client, above=above), client.seen)
        elif client.doing == "waiting":
            yield from self.look(world, index, client)
        elif client.doing == "held":
            if client.version.hb < self.scenario.renewals and not self.expired(world, client.version):
                fence, nonce, hb = client.version.fence, client.version.nonce, client.version.hb
                yield from self.ask(world, index, replace(client, doing="renewing"), Renew(name="a", fence=fence, nonce=nonce, hb=hb))
            yield from self.release(world, index, client, client.version.fence)
        elif client.doing == "buried":
            yield from self.cold(world, index, client)

    def nonce(self, index: int, client: Client) -> int:
        return 10 * (index + 1) + client.number

    def begin_lock(self, world: World, index: int, client: Client) -> Iterator[World]:
        client = Client(left=client.left - 1, number=client.number + 1, above=client.above)
        if self.design.exact_only:
            if world.row is not None and world.row.state == State.FREE:
                yield from self.exact(world, index, client, world.row)
        else:
            yield from self.cold(world, index, client)
        if self.scenario.strangers:
            yield from self.create(world, index, client)

    def begin_purge(self, world: World, index: int, client: Client) -> Iterator[World]:
        if world.row is not None and world.row.state in (State.FREE, State.NEW):
            client = replace(client, left=0, doing="retiring")
            yield from self.ask(world, index, client, Retire(name="a", seen=world.row.version))

    def begin_force(self, world: World, index: int, client: Client) -> Iterator[World]:
        if world.row is not None and world.row.state == State.HELD:
            client = replace(client, left=0, doing="forcing", seen=world.row)
            yield from self.ask(world, index, client, self.forcing(world.row.fence))

    def forcing(self, fence: int) -> ForceRelease:
        return ForceRelease(name="a", fence=fence, nonce=99, owner="o")

    def cold(self, world: World, index: int, client: Client) -> Iterator[World]:
        for guess in self.scenario.guesses:
            change = Acquire(
                name="a", fence=client.above + guess, nonce=self.nonce(index, client), owner="o", lease_ms=1, since_ms=0,
            )
            yield from self.acquire(world, index, client, change)

    def exact(self, world: World, index: int, client: Client, row: Row | None) -> Iterator[World]:
        token = max(client.above, row.fence) + 1
        change = AcquireExact(
            name="a", seen=row.version, fence=token, nonce=self.nonce(index, client), owner="o", lease_ms=1, since_ms=0,
        )
        yield from self.acquire(world, index, replace(client, above=token - 1), change)

    def acquire(self, world: World, index: int, client: Client, change: Acquire | AcquireExact) -> Iterator[World]:
        if change.fence <= self.scenario.largest:
            yield from self.ask(world, index, replace(client, doing="acquiring", sent=client.sent | {change.fence}), change)

    def ask(self, world: World, index: int, client: Client, change: Change) -> Iterator[World]:
        """Send the first copy."""
        if len(world.flying) < self.scenario.copies:
            yield self.send(world, index, replace(client, change=change, repeats=0, seen=client.seen))

    def send(self, world: World, index: int, client: Client) -> World:
        flying = tuple(sorted([*world.flying, (index, client.change)], key=repr))
        return self.with_client(replace(world, flying=flying), index, client)

    def wait(self, world: World, index: int, client: Client) -> Iterator[World]:
        """Without an answer: repeat word by word, or have no time left."""
        once = client.doing in ("releasing", "creating", "raising", "burying", "retiring")    # repeating these is nothing new
        once = once or ("force" in self.scenario.roles and client.doing != "forcing")         # there, what is forced is what counts
        if not once and client.repeats < self.scenario.repeats and len(world.flying) < self.scenario.copies:
            repeated = replace(client, repeats=client.repeats + 1)
            if client.doing == "forcing" and not self.design.force_names_token and world.row is not None:
                repeated = replace(repeated, change=self.forcing(world.row.fence))
            yield self.send(world, index, repeated)
        if client.doing == "acquiring":
            if self.design.unknown_read_and_forgotten:
                row = world.row
                if row is None or row.nonce != self.nonce(index, client):
                    yield self.end(self.tell(world, index, client), index, client)
            else:
                # unknown to the caller: the canceller goes on with the same question
                yield self.with_client(world, index, replace(client, doing="cancelling"))
        elif client.doing == "renewing" and self.design.unknown_renewal_trusted:
            longer = client.version._replace(hb=client.version.hb + 1)
            yield self.with_client(world, index, replace(client, doing="held", change=None, version=longer))
        elif client.doing in ("releasing", "cancelling", "forcing", "retiring", "burying", "raising"):
            yield self.end(world, index, client)    # whoever meets the row finishes it, or the lease ends it

    def answered(self, world: World, index: int, *, applied: bool, row: Row | None) -> Iterator[World]:   # noqa: PLR0912, C901  one clause a program step
        client = world.clients[index]
        change, doubt, client = client.change, client.repeats > 0, replace(client, change=None, repeats=0)
        if row is not None:
            client = replace(client, known=max(client.known, row.fence))
        if not applied and doubt and isinstance(change, Acquire):
            client = replace(client, late=max(client.late, change.fence))
        match client.doing:
            case "acquiring":
                if applied:
                    version = Version(State.HELD, change.fence, 0, change.nonce)
                    yield from self.granted(world, index, client, version)
                else:
                    yield from self.refused(world, index, client, row)
            case "creating":
                yield from self.refused(world, index, client, transition.effect(change, None) if applied else row)
            case "first renewal" | "renewing":
                renewed = Version(State.HELD, change.fence, change.hb + 1, change.nonce)
                if applied or (row is not None and row.version == renewed):
                    yield from self.granted(world, index, client, renewed)
                else:
                    yield self.end(world, index, client)
            case "cancelling":
                ours = row is not None and row.state == State.HELD and row.nonce == change.nonce
                if applied or ours:
                    yield from self.release(world, index, client, change.fence if applied else row.fence)
                else:
                    yield self.end(world, index, client)
            case "retiring" if applied or (row is not None and row.state == State.RETIRED):
                seen = replace(world.row if applied else row, state=State.RETIRED)
                yield from self.bury(world, index, replace(client, seen=seen))
            case "raising":
                yield from self.ask(world, index, replace(client, doing="burying"), Bury(name="a", seen=client.seen.version))
            case "burying" if self.scenario.roles[index] == "lock":
                yield self.with_client(world, index, replace(client, doing="buried", seen=None))
            case _:
                yield self.end(world, index, client)

    def refused(self, world: World, index: int, client: Client, row: Row | None) -> Iterator[World]:
        """Do what the real judge says."""
        match judge(row, nonce=self.nonce(index, client), sent=client.sent):
            case Step.CREATE:
                yield from self.create(world, index, client)
            case Step.FLOOR:
                above = client.above if self.design.floor_after_row else max(client.above, 0)
                yield self.with_client(world, index, replace(client, doing="floor", seen=row, above=above))
            case Step.BURY:
                yield from self.bury(world, index, replace(client, seen=row))
            case Step.EXACT:
                yield from self.exact(world, index, client, row)
            case Step.ADOPT:
                yield from self.granted(world, index, client, row.version)
            case Step.WAIT:
                yield self.with_client(world, index, replace(client, doing="waiting", seen=row))

    def create(self, world: World, index: int, client: Client) -> Iterator[World]:
        create = Create(name="a", nonce=100 + self.nonce(index, client), owner="o")
        yield from self.ask(world, index, replace(client, doing="creating"), create)

    def look(self, world: World, index: int, client: Client) -> Iterator[World]:
        """Give up, or look: take over what is dead, ask again for what looks free."""
        yield self.end(self.tell(world, index, client), index, client)
        row = world.row
        if row is not None:
            client = replace(client, known=max(client.known, row.fence))
        if row is None or row.state != State.HELD:
            yield from self.cold(world, index, replace(client, above=max(client.above, row.fence if row else client.seen.fence)))
        elif row.nonce == self.nonce(index, client):
            yield from self.refused(world, index, client, row)
        elif not self.design.wait_for_expiry or self.expired(world, row.version):
            yield from self.exact(world, index, client, row)

    def granted(self, world: World, index: int, client: Client, version: Version) -> Iterator[World]:
        if self.expired(world, version) and self.design.late_answers_renewed:
            if client.doing == "renewing":
                yield self.end(world, index, client)    # its holder was told meanwhile that it is lost
            elif version.hb == 0:
                renewal = Renew(name="a", fence=version.fence, nonce=version.nonce, hb=0)
                yield from self.ask(world, index, replace(client, doing="first renewal"), renewal)
            else:
                yield from self.release(world, index, client, version.fence)
            return
        if self.expired(world, version):    # trusted all the same: the fault that the rule is there for
            world = replace(world, expired=frozenset(v for v in world.expired if v.fence != version.fence))
        yield self.with_client(world, index, replace(client, doing="held", version=version, sent=frozenset(), seen=None, late=0, known=0))

    def release(self, world: World, index: int, client: Client, fence: int) -> Iterator[World]:
        client = replace(client, doing="releasing", version=None)
        yield from self.ask(world, index, client, Release(name="a", fence=fence, nonce=self.nonce(index, client)))

    def bury(self, world: World, index: int, client: Client) -> Iterator[World]:
        if self.design.floor_before_burial:
            yield from self.ask(world, index, replace(client, doing="raising"), RaiseFloor(name="a", fence=client.seen.fence))
        else:
            yield from self.ask(world, index, replace(client, doing="burying"), Bury(name="a", seen=client.seen.version))

    def tell(self, world: World, index: int, client: Client) -> World:
        if self.design.late_copies_reckoned_with and client.late > client.known:
            return world    # it is told that nobody knows, and the canceller looks after the row
        return replace(world, told=world.told | {self.nonce(index, client)})

    def end(self, world: World, index: int, client: Client) -> World:
        return self.with_client(world, index, Client(left=client.left, number=client.number))

    def with_client(self, world: World, index: int, client: Client) -> World:
        return replace(world, clients=(*world.clients[:index], client, *world.clients[index + 1:]))
