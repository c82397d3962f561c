"""Whoever was away, or is not in reach, gets everything from whoever has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.mesh_processes import processes, same_timeline
from tests.support.nodes import eventually, has_texts, running, take
from zmqchat import Gap, Message

RELAYED_S = 2.0
"""Within this a text has crossed a relay, or a lost one is repaired: at real timings."""


def test_a_newcomer_reads_what_was_said_after_the_author_left(home: Path) -> None:
    """Any holder serves any author's log."""
    with processes(home) as mesh:
        ann = mesh.start("ann")
        bob = mesh.start("bob", ann)
        bob.ask("linked", count=1)
        ann.ask("stream", prefix="a")
        ann.wait_stored(500)
        ann.ask("stop_stream")
        last = ann.ask("send", text="goodbye", until="delivered", timeout=10)
        assert last["delivered"] == ["bob"]
        ann.kill()
        cid = mesh.start("cid", bob)
        cid.ask("seen", text="goodbye")
        timeline = same_timeline(bob, cid)
        assert set(ann.stored) | {last["id"]} <= {message[0] for message in timeline}


def test_a_and_c_read_everything_through_b(home: Path) -> None:
    """Three processes, of which two can't reach each other: each text is on the far side within 2 s."""
    with processes(home) as mesh:
        settings: dict[str, Any] = {"scale": 1.0, "config": {"exchange_dials": False}}
        bob = mesh.start("bob", **settings)
        ann = mesh.start("ann", bob, **settings)
        cid = mesh.start("cid", bob, **settings)
        bob.ask("linked", count=2)
        for node in (ann, cid):
            node.ask("linked", count=1)
        took = []
        for number in range(3):
            for here, there in ((ann, cid), (cid, ann)):
                sent = here.ask("send", text=f"{number} from {here.id[:4]}")
                took.append(there.ask("seen", text=f"{number} from {here.id[:4]}")["at_s"] - sent["at_s"])
        assert ann.ask("peers")["peers"] == cid.ask("peers")["peers"] == ["bob"]
        assert max(took) < RELAYED_S, took
        print(f"relayed within {max(took):.2f} s")
        same_timeline(ann, bob, cid, count=6)


def test_a_last_message_that_the_feed_dropped_is_repaired(home: Path) -> None:
    """Nothing follows it that would show the gap, and it is there within 2 s."""
    with processes(home) as mesh:
        ann = mesh.start("ann", scale=1.0)
        bob = mesh.start("bob", ann, scale=1.0)
        bob.ask("linked", count=1)
        ann.ask("send", text="by feed", until="delivered", timeout=10)
        ann.ask("bare", link="feed")
        sent = ann.ask("send", text="the last")
        took_s = bob.ask("seen", text="the last")["at_s"] - sent["at_s"]
        assert took_s < RELAYED_S
        print(f"repaired within {took_s:.2f} s")


def test_a_long_history_arrives_whole(home: Path) -> None:
    """Many pages from two holders at once."""
    with processes(home) as mesh:
        ann = mesh.start("ann")
        bob = mesh.start("bob", ann)
        ann.ask("linked", count=1)
        ann.ask("stream", prefix="a", tasks=50, bytes=4_000)
        ann.wait_stored(2_000)
        ann.ask("stop_stream")
        ann.ask("send", text="end", until="delivered", timeout=20)
        cid = mesh.start("cid", ann, bob)
        cid.ask("seen", text="end")
        same_timeline(ann, bob, cid)


async def test_the_newest_first(home: Path) -> None:
    """`latest_first` shows the end at once; what is older comes behind it as backfill, and nothing is missing."""
    texts = [f"{number} {'x' * 1_000}" for number in range(3_000)]
    async with running(home) as ann:
        here = await ann.join("field")
        async for _sent in here.send_all(texts):
            pass
        async with running(home, "bob") as bob:
            there = await bob.join("field", latest_first=True)
            cursor = there.messages(after="start")
            bob.add_peer(ann.address)
            items: list[Message] = []
            gaps: list[Gap] = []
            while len(items) < len(texts):
                item = (await take(cursor, 1))[0]
                if isinstance(item, Gap):
                    gaps.append(item)
                else:
                    items.append(item)
            assert len({item.id for item in items}) == len(texts)
            assert str(items[0].text).split()[0] != "0"
            assert items[-1].backfill
            assert gaps
            assert not any(item.live for item in items)
            await has_texts(there, texts)


async def test_backfill_behind_the_read_position_is_read_after_a_restart(home: Path) -> None:
    """Having read the newest is not having read what came later from before it."""
    texts = [f"{number} {'x' * 1_000}" for number in range(2_000)]
    async with running(home) as ann:
        here = await ann.join("field")
        async for _sent in here.send_all(texts):
            pass
        async with running(home, "bob") as bob:
            there = await bob.join("field", latest_first=True)
            bob.add_peer(ann.address)
            seen: set[object] = set()
            cursor = there.messages(after="read")
            while len(seen) < 50:
                seen |= {item.text for item in await take(cursor, 1) if isinstance(item, Message)}
            await has_texts(there, texts)
    async with running(home, "bob") as bob:
        cursor = (await bob.join("field")).messages(after="read")
        while not set(texts) <= seen:
            seen |= {item.text for item in await take(cursor, 1) if isinstance(item, Message)}


async def test_a_kind_from_the_future_is_stored_and_relayed(home: Path) -> None:
    """A node that knows more among nodes that do not: its own kind travels along, told as "newer"."""
    async with running(home) as ann, running(home, "bob", ann) as bob:
        here = await ann.join("lobby")
        ann._core().core.post(here.id, 99, [["a new kind", 1]])
        sent = await here.send("after it", until="delivered", timeout=10)
        there = await bob.join("lobby")
        await has_texts(there, [None, "after it"])
        await ann.stop()
        async with running(home, "cid", bob) as cid:
            last = await cid.join("lobby")
            await has_texts(last, [None, "after it"])
            assert [message.kind for message in await last.history()] == ["newer", "text"]
            assert (await last.history())[-1].id == sent.id


@pytest.mark.parametrize("until", ["held", "delivered"])
async def test_waiting_through_an_absence(home: Path, until: str) -> None:
    """A send that waits for a peer which is away is met when that peer comes back."""
    async with running(home) as ann:
        here = await ann.join("lobby")
        async with running(home, "bob", ann) as bob:
            await eventually(lambda: len(here.members) == 2)
            assert bob.peers
        sent = await here.send("while you were away")
        async with running(home, "bob", ann):
            assert [peer.name for peer in (await here.wait(sent.id, until, 10)).delivered] == ["bob"]
