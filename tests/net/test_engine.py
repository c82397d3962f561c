"""Facts leave in the order told, never from within `apply`."""

from __future__ import annotations

import asyncio

from tests.support.transports import new_pair
from zmqchat.net.engine import Engine
from zmqchat.net.options import CurvePair
from zmqchat.protocol.facts import DialFailed, Fact


def fact(number: int) -> Fact:
    """A fact that can be told apart."""
    return DialFailed(dial=number, reason="test")


async def test_facts_of_an_effect_wait_and_keep_their_order() -> None:
    """What is told during `apply` comes in the next turn, and what follows does not overtake it."""
    told: list[Fact] = []
    engine = Engine(asyncio.get_running_loop(), CurvePair(*new_pair()), told.append)
    engine.tell(fact(1))
    assert told == [fact(1)]
    engine.applying = True
    engine.tell(fact(2))
    engine.applying = False
    engine.tell(fact(3))
    assert told == [fact(1)]
    await asyncio.sleep(0)
    assert told == [fact(1), fact(2), fact(3)]
    engine.tell(fact(4))
    assert told[-1] == fact(4)
    engine.context.destroy(0)


async def test_facts_told_while_facts_are_handed_over_come_after_them() -> None:
    """A sink whose effects cause facts hears them later, and each once."""
    told: list[Fact] = []

    def sink(heard: Fact) -> None:
        told.append(heard)
        if heard == fact(1):
            engine.applying = True
            engine.tell(fact(3))
            engine.applying = False

    engine = Engine(asyncio.get_running_loop(), CurvePair(*new_pair()), sink)
    engine.applying = True
    engine.tell(fact(1))
    engine.tell(fact(2))
    engine.applying = False
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert told == [fact(1), fact(2), fact(3)]
    engine.context.destroy(0)


async def test_closed_engine_tells_nothing() -> None:
    """After the stop no fact gets out, those that waited included."""
    told: list[Fact] = []
    engine = Engine(asyncio.get_running_loop(), CurvePair(*new_pair()), told.append)
    engine.applying = True
    engine.tell(fact(1))
    engine.closed = True
    engine.tell(fact(2))
    await asyncio.sleep(0)
    assert told == []
    engine.context.destroy(0)
