"""Our own clock: set to 2099 while the node runs, and put right again."""

from __future__ import annotations

from pathlib import Path

from tests.support.nodes import has_texts, linked, running, share_room
from zmqchat import Node
from zmqchat.model.ids import MessageId
from zmqchat.node.runner import wall_ms
from zmqchat.protocol.facts import Instant

TO_2099_MS = 73 * 365 * 86_400_000


def _set_clock(node: Node, ahead_ms: int) -> None:
    """Let this node's wall clock be ahead, the others' not."""
    runner = node._core().runner
    monotonic_s = runner._loop.time
    runner.now = lambda: Instant(monotonic_s(), wall_ms() + ahead_ms)  # type: ignore[method-assign]  # the injected clock


async def test_a_clock_set_to_2099_and_back_costs_a_log_and_no_message(home: Path) -> None:
    """Every send is accepted by the other node; one warning; each log keeps its order and the other's clock stays."""
    async with running(home.parent, "ann") as ann, running(home.parent, "bob", ann) as bob:
        await linked(ann, bob)
        writing, reading = await share_room("lobby", ann, bob)
        sent: list[MessageId] = []

        async def say(*texts: str) -> None:
            for text in texts:
                sent.append((await writing.send(text, until="delivered", timeout=10)).id)

        await say("before 1", "before 2")
        _set_clock(ann, TO_2099_MS)
        await say("2099 1", "2099 2")
        answer = await reading.send("bob in between", until="delivered", timeout=10)
        _set_clock(ann, 0)
        await say("after 1", "after 2")

        before, future, after = ({id.log for id in sent[start : start + 2]} for start in (0, 2, 4))
        assert before == future
        assert len(after) == 1
        assert after != future
        for log in before | after:
            numbers = [id.number for id in sent if id.log == log]
            assert numbers == sorted(numbers)
            assert len(set(numbers)) == len(numbers)
        # what was said in 2099 stands there on both nodes; everything else is in its order
        order = ["before 1", "before 2", "bob in between", "after 1", "after 2", "2099 1", "2099 2"]
        for room in (reading, writing):
            await has_texts(room, list(order))
        shown = {message.id: message for message in await reading.history(100)}
        assert shown[sent[2]].sent_at.year >= 2098
        assert shown[answer.id].sent_at.year < 2098
        assert shown[sent[-1]].sent_at.year < 2098
        assert sum("clock" in notice for notice in ann.notices) == 1
        assert not any("clock" in notice for notice in bob.notices)
        assert bob.peers
        assert ann.peers
