"""`send_all`: any source, a bounded window, errors, cancellation."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.support.nodes import eventually, has_texts, history_texts, running, share_room
from zmqchat import DeliveryTimeout, MessageId, MessageTooLarge, Node, NodeClosed, Room, Sent, StoreFull
from zmqchat.model.limits import SEND_WINDOW_EVENTS_MAX
from zmqchat.node.runner import Runner
from zmqchat.protocol.effects import Store
from zmqchat.protocol.facts import StoreFailed

TEXTS = [f"text {number}" for number in range(3_000)]


def _generator() -> Iterator[str]:
    yield from TEXTS


async def _asynchronous() -> AsyncIterator[str]:
    for number, text in enumerate(TEXTS):
        if number % 100 == 0:
            await asyncio.sleep(0)
        yield text


async def _all(room: Room, source: object, **more: object) -> list[Sent]:
    return [sent async for sent in room.send_all(source, **more)]  # type: ignore[arg-type]  # each test says what


@pytest.mark.parametrize("source", [lambda: TEXTS, lambda: iter(TEXTS), _generator, _asynchronous])
async def test_every_kind_of_source(home: Path, source: Callable[[], object]) -> None:
    """A list, an iterator, a generator, an asynchronous generator: all sent once, reported in order."""
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        sents = await _all(lobby, source())
        assert [sent.id.number for sent in sents] == sorted({sent.id.number for sent in sents})
        assert len(sents) == len(TEXTS)
        assert [message.id for message in await lobby.history(5_000)] == [sent.id for sent in sents]
        await has_texts(lobby, TEXTS)


@pytest.mark.parametrize("until", ["held", "delivered"])
async def test_until_others_have_them(home: Path, until: str) -> None:
    """Each Sent comes when the other has it."""
    async with running(home) as ann, running(home, "bob", ann) as bob:
        here, there = await share_room("lobby", ann, bob)
        async for sent in here.send_all(TEXTS[:1_000], until=until, timeout=10):
            assert [peer.name for peer in sent.delivered] == ["bob"]
        await has_texts(there, TEXTS[:1_000])


async def test_until_read(home: Path) -> None:
    """The reader's position is what counts."""
    async with running(home) as ann, running(home, "bob", ann) as bob:
        here, there = await share_room("lobby", ann, bob)

        async def read() -> None:
            async for _message in there.messages(after="read"):
                pass

        reading = asyncio.create_task(read())
        assert len(await _all(here, TEXTS[:200], until="read", timeout=10)) == 200
        reading.cancel()


async def test_an_endless_source_is_taken_from_as_far_as_the_window_goes(home: Path) -> None:
    """A reader of results that pauses stops the source, too."""
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield f"text {taken}"

    async with running(home) as ann:
        lobby = await ann.join("lobby")
        sends = lobby.send_all(endless())
        for _ in range(10):
            await anext(sends)
        await eventually(lambda: taken >= SEND_WINDOW_EVENTS_MAX)
        assert taken <= SEND_WINDOW_EVENTS_MAX + 10
        await sends.aclose()
        assert len([sent async for sent in sends]) <= SEND_WINDOW_EVENTS_MAX
        await eventually(lambda: not ann._core().core.is_pending(lobby.id))
        assert len(await history_texts(lobby)) == taken


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_an_error_of_the_source_comes_after_what_it_gave(home: Path, asynchronous: bool) -> None:
    """Everything given before is sent and reported, then the source's own error is raised."""

    def failing() -> Iterator[str]:
        yield from TEXTS[:700]
        raise LookupError("no more")

    async def failing_asynchronously() -> AsyncIterator[str]:
        for text in failing():
            yield text

    async with running(home) as ann:
        lobby = await ann.join("lobby")
        sends = lobby.send_all(failing_asynchronously() if asynchronous else failing())
        for _ in range(700):
            await anext(sends)
        with pytest.raises(LookupError, match="no more"):
            await anext(sends)
        await has_texts(lobby, TEXTS[:700])


async def test_a_text_that_is_too_large_comes_after_what_was_before_it(home: Path) -> None:
    """What was good is sent and reported, then the error is raised."""
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        sends = lobby.send_all([*TEXTS[:300], "x" * 70_000, "after"])
        for _ in range(300):
            await anext(sends)
        with pytest.raises(MessageTooLarge):
            await anext(sends)
        await has_texts(lobby, TEXTS[:300])


async def test_a_timeout_ends_it(home: Path) -> None:
    """Nobody holds the first: DeliveryTimeout; what was taken stays sent."""
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        with pytest.raises(DeliveryTimeout):
            await _all(lobby, TEXTS[:100], until="held", timeout=0.05)
        await has_texts(lobby, TEXTS[:100])


async def test_breaking_off_leaves_no_task(home: Path) -> None:
    """An iterator that nobody holds any more takes nothing from its source."""
    async with running(home) as ann:
        lobby = await ann.join("lobby")

        async def forever() -> AsyncIterator[str]:
            while True:
                yield "again"
                await asyncio.sleep(0.001)

        async for _sent in lobby.send_all(forever()):
            break
        gc.collect()
        await eventually(lambda: not any("send_all" in task.get_name() for task in asyncio.all_tasks()))


async def test_stopping_ends_it(home: Path) -> None:
    """A stop in the middle raises NodeClosed, leaves no task, and what was reported is durable."""
    before = asyncio.all_tasks()
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        sents: list[Sent] = []

        async def stream() -> None:
            async for sent in lobby.send_all(f"text {n}" for n in range(10**9)):
                sents.append(sent)

        streaming = asyncio.create_task(stream())
        await eventually(lambda: len(sents) > 2_000)
        await ann.stop()
        with pytest.raises(NodeClosed):
            await streaming
        assert asyncio.all_tasks() == before
    async with running(home) as ann:
        texts = await history_texts(await ann.join("lobby"))
        assert texts == [f"text {n}" for n in range(len(texts))]
        assert len(texts) >= len(sents)


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_it_goes_on_after_an_earlier_full_disk(home: Path, asynchronous: bool) -> None:
    """Numbers that were given up once and are used again stop no later send."""
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        await lobby.send("before")
        await fail_posts(ann, lobby, 800)
        sents = await asyncio.wait_for(_all(lobby, _asynchronous() if asynchronous else iter(TEXTS)), 30)
        assert len(sents) == len(TEXTS)
        await has_texts(lobby, ["before", *TEXTS])


async def test_a_reused_number_is_waited_for_without_the_store(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that is posted after a failure costs what any other does."""
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        lost = await fail_posts(ann, lobby, 10)
        again = lobby.post_many(TEXTS[:10])
        assert [one.number for one in again] == [one.number for one in lost]
        await eventually(lambda: not ann._core().core.is_pending(lobby.id))
        looked_up: list[object] = []
        look_up = lobby._look_up

        async def noted(message: MessageId) -> None:
            looked_up.append(message)
            await look_up(message)

        monkeypatch.setattr(lobby, "_look_up", noted)
        for message in again:
            await lobby.wait(message, "stored")
        assert looked_up == []
        with pytest.raises(StoreFull):
            await lobby.wait(lost[0], "stored")


async def test_a_failure_of_its_own_ends_it(home: Path) -> None:
    """What was given up is never reported as sent, though others have its numbers by then."""
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        sends = lobby.send_all(iter(TEXTS))
        runner = ann._core().runner
        failing = StoreFailing(runner)
        with failing:
            reading = asyncio.ensure_future(anext(sends))
            with pytest.raises(StoreFull):
                await reading
        await lobby.send("other")
        assert [sent async for sent in sends] == []
        await has_texts(lobby, ["other"])


async def test_it_is_cancelled_on_its_own_loop(home: Path) -> None:
    """Whichever thread collects an iterator that nobody holds any more."""
    async with running(home) as ann:
        lobby = await ann.join("lobby")

        async def forever() -> AsyncIterator[str]:
            while True:
                yield "again"
                await asyncio.sleep(0.001)

        holder = [lobby.send_all(forever())]
        await anext(holder[0])
        feeder = holder[0]._feeder
        assert feeder is not None
        cancelled: list[int] = []
        holder[0]._feeder = _Noting(feeder, cancelled)  # type: ignore[assignment]  # a double of the task
        await asyncio.to_thread(holder.clear)
        await eventually(lambda: bool(cancelled))
        assert cancelled == [threading.get_ident()]
        await eventually(feeder.done)


class _Noting:
    """A task that notes which thread cancels it."""

    def __init__(self, task: asyncio.Task[None], cancelled: list[int]) -> None:
        self._task = task
        self._cancelled = cancelled

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """See Task."""
        return self._task.get_loop()

    def cancel(self) -> None:
        """Note the thread, and cancel."""
        self._cancelled.append(threading.get_ident())
        self._task.cancel()


class StoreFailing:
    """While it is entered, whatever the machines store fails for lack of space."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()

        def fail(effect: Store) -> None:
            loop.call_soon(self._runner.feed, StoreFailed(token=effect.token, full=True, detail="full"))

        self._runner.on({Store: fail})

    def __exit__(self, *_error: object) -> None:
        self._runner.on({Store: self._runner._store_writes})


async def fail_posts(node: Node, room: Room, count: int) -> list[MessageId]:
    """Post so many texts that are given up as the disk is full, which has space again afterwards."""
    core = node._core().core
    await eventually(lambda: not core.is_pending(room.id) and core.data.committing.is_idle)
    with StoreFailing(core.runner):
        lost = room.post_many([f"lost {number}" for number in range(count)])
        await eventually(lambda: not core.is_pending(room.id))
        with pytest.raises(StoreFull):
            await room.stored(lost[-1])
    return lost


async def test_texts_of_the_largest_size(home: Path) -> None:
    """Many large texts pass with bounded memory in flight."""
    texts = [str(number % 10) * 60_000 for number in range(120)]
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        assert len(await _all(lobby, texts)) == 120
        await has_texts(lobby, texts)
