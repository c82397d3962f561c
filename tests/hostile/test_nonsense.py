"""Well-formed nonsense: every kind of frame with fields that mean something, in no sensible order."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest

from tests.support.chatter import Chatter
from tests.support.hostilepeer import hostile_peer
from tests.support.nodes import running
from tests.support.siege import siege
from zmqchat import Config, Gap
from zmqchat.crypto.keys import create_identity
from zmqchat.model.limits import NUMBER_MAX

FRAMES = 4_000
FRAMES_A_LINK = 300


@pytest.mark.parametrize("seed", [1, 2])
async def test_nonsense_stops_nobody_and_the_store_reads_back(home: Path, seed: int) -> None:
    """Four thousand frames: the node goes on, and after a restart it shows the same history and reads all of it."""
    rng = Random(seed)
    async with siege(home.parent, "noise") as besieged:
        ann, bob = besieged.ann, besieged.bob
        cellar = await ann.join("cellar")
        sent = 0
        while sent < FRAMES:
            async with hostile_peer(ann) as eve:
                await eve.link("lobby", "cellar", feed=False)
                authors = (ann.id, bob.id, eve.peer, create_identity().peer)
                logs = (0, 1, 2, 3, ann._core().core.data.ledger.own_log, NUMBER_MAX)
                chatter = Chatter(rng, ("lobby", "cellar"), authors, logs)
                for number in range(FRAMES_A_LINK):
                    if eve.is_cut:
                        break
                    eve.say(chatter.frame(eve))
                    sent += 1
                    if number % 20 == 0:
                        await asyncio.sleep(0)
            assert ann.failure is None
        before = [message.id for message in await cellar.history(100_000)]
        assert before
    async with running(home.parent, "ann", config=Config(gap_wait_s=0.2)) as again:
        cellar = await again.join("cellar")
        after = [message.id for message in await cellar.history(100_000)]
        known = set(before)  # what was still on its way to the disk may have come after it
        assert [message for message in after if message in known] == before
        # A forked log with gaps may come to a reader twice in part, and never is anything of it passed over.
        missing = set(after)
        cursor = cellar.messages(after="start")
        while missing:
            item = await asyncio.wait_for(cursor.__anext__(), 15)
            if not isinstance(item, Gap):
                missing.discard(item.id)
