"""What listeners hear."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest

from tests.support.nodes import running
from zmqchat import MemberJoined, MemberLeft, NoticeGiven, PeerOffline, PeerOnline
from zmqchat.node.happenings import EVENTS_KEPT_MAX, Happenings
from zmqchat.node.values import NodeEvent


async def test_everything_from_the_call_on() -> None:
    """Also what happens before the first one is asked for; nothing from before the call."""
    happenings = Happenings()
    happenings.tell(NoticeGiven("before"))
    listening = happenings.listen()
    happenings.tell(NoticeGiven("one"))
    happenings.tell(NoticeGiven("two"))
    assert [await anext(listening), await anext(listening)] == [NoticeGiven("one"), NoticeGiven("two")]


async def test_the_end_comes_after_what_happened() -> None:
    """A stop ends the iteration, a waiting one too."""
    happenings = Happenings()
    first, second = happenings.listen(), happenings.listen()
    waiting = asyncio.ensure_future(anext(first))
    await asyncio.sleep(0)
    happenings.tell(NoticeGiven("last"))
    happenings.close()
    assert await waiting == NoticeGiven("last")
    assert [event async for event in second] == [NoticeGiven("last")]
    with pytest.raises(StopAsyncIteration):
        await anext(first)


async def test_a_cancelled_wait_loses_nothing() -> None:
    """The listener goes on."""
    happenings = Happenings()
    listening = happenings.listen()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(anext(listening), 0.01)
    happenings.tell(NoticeGiven("later"))
    assert await anext(listening) == NoticeGiven("later")


async def test_a_slow_listener_keeps_the_newest() -> None:
    """News is bounded; a dropped listener is forgotten."""
    happenings = Happenings()
    listening = happenings.listen()
    for number in range(EVENTS_KEPT_MAX + 5):
        happenings.tell(NoticeGiven(str(number)))
    assert await anext(listening) == NoticeGiven("5")
    del listening
    gc.collect()
    assert len(happenings._listeners) == 0


async def test_people_come_and_go(home: Path) -> None:
    """Presence and membership of a peer, as another node hears them."""
    heard: list[NodeEvent] = []
    async with running(home) as ann:
        deck = await ann.join("deck")
        events = ann.events()

        async def until(kind: type, name: str) -> None:
            async for event in events:
                heard.append(event)
                if isinstance(event, kind) and (getattr(event, "member", None) or event.peer).name == name:  # type: ignore[union-attr]  # one of both
                    return

        async with running(home, "bob", ann) as bob:
            await bob.join("deck")
            await (await bob.join("deck")).send("here")
            await asyncio.wait_for(until(MemberJoined, "bob"), 10)
            await bob.leave("deck")
            await asyncio.wait_for(until(MemberLeft, "bob"), 10)
        await asyncio.wait_for(until(PeerOffline, "bob"), 10)
        assert any(isinstance(event, PeerOnline) for event in heard)
        joined = [(event.room, event.member.name) for event in heard if isinstance(event, MemberJoined)]
        assert joined.count(("deck", "bob")) == joined.count(("lobby", "bob")) == 1
        assert [member.name for member in deck.members] == ["ann"]
