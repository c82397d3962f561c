"""Two honest nodes that go on talking while somebody attacks one of them, and what they must not notice."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.nodes import eventually, history_texts, linked, running, share_room
from zmqchat import Config, Node, Room
from zmqchat.model.limits import KIB, MIB

DELIVERED_WITHIN_S = 1.0
MEMORY_BYTES_MAX = 50 * MIB
BETWEEN_SENDS_S = 0.03
"""About thirty messages a second: a busy room."""


@dataclass
class Siege:
    """ann is attacked while bob writes to her.

    slowest_s       the longest time from send to delivered so far
    at_first_bytes  the memory before the attack
    raised          what reached the event loop's handler of last resort
    """

    ann: Node
    bob: Node
    lobby: Room
    writing: Room
    texts: list[str | None] = field(default_factory=list)
    slowest_s: float = 0.0
    at_first_bytes: int = 0
    raised: list[str] = field(default_factory=list)

    async def deliver(self, count: int) -> None:
        """Wait until so many more messages went from bob to ann."""
        wanted = len(self.texts) + count
        await eventually(lambda: len(self.texts) >= wanted)

    def weigh(self) -> None:
        """Take the memory of this moment as that before the attack."""
        gc.collect()
        self.at_first_bytes = anonymous_bytes()

    async def counters(self) -> Mapping[str, Any]:
        """ann's counts of faults, refusals and what the transport saw, as `doctor` shows them."""
        report = await self.ann.doctor()
        return {
            **_numbers(report["counters"]),
            **{f"refused {name}": count for name, count in _numbers(report["refusals"]).items()},
            **{f"fault {name}": count for name, count in _numbers(report["faults"]).items()},
        }

    async def faults(self, *reasons: str) -> int:
        """How many faults of these kinds ann has counted."""
        counters = await self.counters()
        return sum(int(counters.get(f"fault {reason}", 0)) for reason in reasons)

    async def _talk(self, stopped: asyncio.Event) -> None:
        number = 0
        while not stopped.is_set():
            number += 1
            started_s = time.perf_counter()
            await self.writing.send(f"message {number}", until="delivered", timeout=10)
            self.slowest_s = max(self.slowest_s, time.perf_counter() - started_s)
            self.texts.append(f"message {number}")
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(stopped.wait(), BETWEEN_SENDS_S)


@contextlib.asynccontextmanager
async def siege(folder: Path, *extra: str) -> AsyncIterator[Siege]:
    """The nodes with real timings; at the end: all delivered, in time, the same on both, and memory back.

    extra  texts that others get into the lobby by rights
    """
    loop = asyncio.get_running_loop()
    config = Config()
    async with running(folder, "ann", config=config) as ann, running(folder, "bob", ann, config=config) as bob:
        await linked(ann, bob)
        lobby, writing = await share_room("lobby", ann, bob)
        besieged = Siege(ann, bob, lobby, writing)
        before = loop.get_exception_handler()
        loop.set_exception_handler(lambda _loop, context: besieged.raised.append(str(context)))
        stopped = asyncio.Event()
        talk = asyncio.create_task(besieged._talk(stopped))
        try:
            await besieged.deliver(10)
            besieged.weigh()
            yield besieged
            await besieged.deliver(5)
            stopped.set()
            await talk
            await _memory_is_back(besieged.at_first_bytes)
            assert not besieged.raised, besieged.raised
            assert ann.failure is None
            assert bob.failure is None
            assert besieged.slowest_s < DELIVERED_WITHIN_S
            for room in (lobby, writing):
                got = [text for text in await history_texts(room) if text not in extra]
                assert got == besieged.texts
        finally:
            talk.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await talk
            loop.set_exception_handler(before)


async def _memory_is_back(at_first_bytes: int) -> None:
    def is_back() -> bool:
        gc.collect()
        return anonymous_bytes() - at_first_bytes < MEMORY_BYTES_MAX

    await eventually(is_back)


def anonymous_bytes() -> int:
    """The memory of this process in RAM that no file backs: the system gives and takes the pages of a store's map."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) * KIB for line in status.splitlines() if line.startswith("RssAnon"))


def _numbers(value: object) -> dict[str, int]:
    assert isinstance(value, Mapping)
    return {str(name): int(count) for name, count in value.items()}
