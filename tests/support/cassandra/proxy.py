"""Proxies in front of the nodes that lose or delay whole replies of the protocol, or delay requests.

The stream is cut at the borders of frames: bytes that vanish in the middle of one would only break the connection,
while a frame that vanishes is what a lost reply is: the statement ran, and the client does not know.

One process serves all nodes; whoever hurts them turns the faults on and off through memory that both share. Whoever
uses a proxied address must be given `translate`, because nodes tell their own addresses.
"""

import asyncio
import multiprocessing
import random
from collections.abc import AsyncIterator, Sequence
from multiprocessing.process import BaseProcess

READY, AUTHENTICATE, SELF_CONTAINED = 0x02, 0x03, 1 << 17
HEADER, SEGMENT_HEADER, SEGMENT_CHECKSUM = 9, 6, 4
V5_REPLY, V4_REPLY = 0x85, 0x84
spawn = multiprocessing.get_context("spawn")


class Faults:
    """What is wrong with one node's connections: the probability of losing a reply, two taps, and whether they break."""

    def __init__(self) -> None:
        self.cells = spawn.RawArray("d", 4)

    def lose_replies(self, probability: float = 1.0) -> None:
        self.cells[0] = probability

    def hold_replies(self) -> None:
        self.cells[1] = 1

    def hold_requests(self) -> None:
        """Let requests stand until `heal()`: each that the client gave up on becomes one that arrives late."""
        self.cells[2] = 1

    def break_off(self) -> None:
        """End all connections, and new ones at once."""
        self.cells[3] = 1

    def heal(self) -> None:
        self.cells[:] = (0.0, 0.0, 0.0, 0.0)


def translate(address: str) -> str:
    """Return the proxy's address of a node's."""
    return address.replace("127.0.0.", "127.0.1.")


def start(hosts: Sequence[str], *, port: int) -> tuple[list[Faults], BaseProcess]:
    """Listen in front of each node until the process is killed."""
    faults = [Faults() for _ in hosts]
    ready = spawn.Event()
    routes = [(host, fault.cells) for host, fault in zip(hosts, faults, strict=True)]
    process = spawn.Process(target=_serve, args=(routes, port, ready), name="proxies", daemon=True)
    process.start()
    if not ready.wait(30):
        process.kill()
        raise AssertionError("the proxies did not start")
    return faults, process


async def _replies(reader: asyncio.StreamReader) -> AsyncIterator[tuple[bool, bytes]]:
    """Yield each reply and whether it may be lost: plain frames during the handshake, then segments of version 5."""
    segmented = False
    while True:
        if segmented:
            head = await reader.readexactly(SEGMENT_HEADER)
            bits = int.from_bytes(head[:3], "little")
            rest = await reader.readexactly((bits & 0x1FFFF) + SEGMENT_CHECKSUM)
            yield bool(bits & SELF_CONTAINED), head + rest
        else:
            head = await reader.readexactly(HEADER)
            shakes_hands = head[4] in (READY, AUTHENTICATE)
            rest = await reader.readexactly(int.from_bytes(head[5:9], "big"))
            yield not shakes_hands and head[0] == V4_REPLY, head + rest
            segmented = shakes_hands and head[0] == V5_REPLY


async def _pass_replies(reader, writer, cells) -> None:
    async for may_be_lost, data in _replies(reader):
        while cells[1]:  # noqa: ASYNC110  the memory is another process's, which sets no event here
            await asyncio.sleep(0.01)
        if not (may_be_lost and random.random() < cells[0]):
            writer.write(data)
            await writer.drain()


async def _pass_requests(reader, writer, cells) -> None:
    while data := await reader.read(65536):
        while cells[2]:  # noqa: ASYNC110  as above
            await asyncio.sleep(0.01)
        writer.write(data)
        await writer.drain()


async def _breaks(cells) -> None:
    while not cells[3]:  # noqa: ASYNC110  as above
        await asyncio.sleep(0.01)


async def _join(client_reader, client_writer, host, port, cells) -> None:
    try:
        node_reader, node_writer = await asyncio.open_connection(host, port)
    except OSError:
        client_writer.close()
        return
    pumps = [
        asyncio.ensure_future(_pass_requests(client_reader, node_writer, cells)),
        asyncio.ensure_future(_pass_replies(node_reader, client_writer, cells)),
        asyncio.ensure_future(_breaks(cells)),
    ]
    await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    for pump in pumps:
        pump.cancel()
    await asyncio.gather(*pumps, return_exceptions=True)
    for writer in (client_writer, node_writer):
        writer.close()


def _serve(routes, port, ready) -> None:
    async def serve() -> None:
        for host, cells in routes:
            await asyncio.start_server(lambda r, w, h=host, c=cells: _join(r, w, h, port, c), translate(host), port)
        ready.set()
        await asyncio.Event().wait()

    asyncio.run(serve())
