"""Sending for commands: a stream of texts through a bounded window, each answered when it has got to `until`.

How it works. Lines that have come by the time their stream gets its turn are posted together, and answers that are
due at one time go out together, so a stream costs two tasks, however many lines it has: one posts, as the window
allows; one waits for what becomes of the lines. A line is in one of two places: being stored, in the order of
posting, and then, where `until` wants more, on its way to others, each with the time at which it is late.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from zmqchat.model.errors import UsageError
from zmqchat.model.limits import CONTROL_SEND_WINDOW_BYTES, CONTROL_SEND_WINDOW_EVENTS
from zmqchat.node.control_sent import Accepted, Line, SentMemory
from zmqchat.node.message import Message
from zmqchat.node.sending import UNTIL

if TYPE_CHECKING:
    from zmqchat.node.room import Room

LINES_QUEUED_MAX: Final = 256
"""Lines that wait to be posted; then their client waits, and everything else on the loop gets its turn."""


class Answer(NamedTuple):
    """What became of a line."""

    number: int
    result: Message | Exception


class _OnWay(NamedTuple):
    """A line that is durable here and has not got where `until` wants it; late at deadline_s."""

    number: int
    message: Message
    deadline_s: float | None


class SendStream:
    """The texts of one `send` request, and how far each is to get. Raises UsageError for an unknown `until`.

    stored  is told how many lines more are durable, where `until` wants them further
    """

    def __init__(
        self,
        room: Room,
        memory: SentMemory,
        answer: Callable[[Sequence[Answer]], Awaitable[None]],
        until: str,
        timeout_s: float | None,
        copies: int,
        stored: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        if until not in UNTIL:
            raise UsageError(f"until must be one of {', '.join(UNTIL)}, not {until[:40]!r}")
        self._room = room
        self._memory = memory
        self._answer = answer
        self._until = until
        self._timeout_s = timeout_s
        self._copies = copies
        self._stored = stored
        self._lines: deque[Line] = deque()
        self._queued_characters = 0
        self._is_complete = False
        self._has_ended = False
        self._taken = asyncio.Event()
        self._queued = asyncio.Event()
        self._moved = asyncio.Event()
        self._unanswered = 0
        self._unstored_characters = 0
        self._refused: list[Answer] = []
        self._storing: deque[tuple[Line, Accepted]] = deque()
        self._on_way: dict[int, _OnWay] = {}
        self._places = 0
        self._receipts: asyncio.Future[None] | None = None

    # Lines come in -----------------------------------------------------------------------------------

    async def put(self, line: Line | None) -> None:
        """The next line, None for the end; waits while the window is full. Dropped when the stream has ended."""
        while not self._has_ended and (
            len(self._lines) >= LINES_QUEUED_MAX or self._queued_characters >= CONTROL_SEND_WINDOW_BYTES
        ):
            self._taken.clear()
            await self._taken.wait()
        if line is None:
            self._is_complete = True
        else:
            self._lines.append(line)
            self._queued_characters += len(line.text)
        self._queued.set()

    async def _post_all(self) -> None:
        """Post what comes until the end, as the window allows."""
        while True:
            lines = self._take()
            if lines:
                for line, accepted in zip(lines, await self._memory.accept(self._room, lines), strict=True):
                    if isinstance(accepted, Exception):
                        self._unstored_characters -= len(line.text)
                        self._refused.append(Answer(line.number, accepted))
                    else:
                        self._storing.append((line, accepted))
                self._moved.set()
            elif self._is_complete and not self._lines:
                return
            else:
                self._queued.clear()
                await self._queued.wait()

    def _take(self) -> list[Line]:
        """The lines that fit into the window now."""
        lines: list[Line] = []
        while self._lines and self._unanswered < CONTROL_SEND_WINDOW_EVENTS:
            size = len(self._lines[0].text)
            if self._unstored_characters and self._unstored_characters + size > CONTROL_SEND_WINDOW_BYTES:
                break
            lines.append(self._lines.popleft())
            self._unanswered += 1
            self._unstored_characters += size
            self._queued_characters -= size
        if lines:
            self._taken.set()
        return lines

    # Answers go out ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Send all lines until the end; returns when each is answered."""
        posting = asyncio.get_running_loop().create_task(self._post_all(), name="zmqchat control posting")
        posting.add_done_callback(lambda _posting: self._moved.set())
        echo = self._memory.echo(self._room)
        echo.listeners.append(self._moved.set)
        told = 0
        try:
            while self._unanswered or not posting.done():
                self._moved.clear()
                if posting.done():
                    posting.result()  # whatever else went wrong ends the request
                answers = [*self._take_refused(), *self._take_stored(), *self._take_reached(), *self._take_late()]
                if self._stored is not None and self._places > told:
                    await self._stored(self._places - told)
                    told = self._places
                if answers:
                    await self._answer(answers)
                    self._unanswered -= len(answers)
                self._queued.set()  # the window may have room again
                if not answers:
                    await self._wait()
            posting.result()
        finally:
            self._has_ended = True
            echo.listeners.remove(self._moved.set)
            posting.cancel()
            if self._receipts is not None:
                self._receipts.cancel()
            self._taken.set()  # who waits to put a line goes on

    def _take_refused(self) -> list[Answer]:
        refused, self._refused = self._refused, []
        return refused

    def _take_stored(self) -> list[Answer]:
        """Answers for what is durable, or given up, since; what is to get further is on its way from now on."""
        answers: list[Answer] = []
        now_s = asyncio.get_running_loop().time()
        while self._storing and self._storing[0][1].outcome is not None:
            line, accepted = self._storing.popleft()
            outcome = accepted.outcome
            assert outcome is not None
            self._unstored_characters -= len(line.text)
            if self._until == "stored" or isinstance(outcome, Exception):
                answers.append(Answer(line.number, outcome))
            else:
                deadline_s = None if self._timeout_s is None else now_s + self._timeout_s
                self._places += 1
                self._on_way[self._places] = _OnWay(line.number, outcome, deadline_s)
        return answers

    def _take_reached(self) -> list[Answer]:
        """Answers for what has got where it should: most often all up to some number, but any may be the first."""
        if not self._on_way:
            return []
        if self._receipts is None or self._receipts.done():
            self._receipts = self._room.receipts_changed()
            self._receipts.add_done_callback(self._receipts_changed)
        lines = list(self._on_way.values())
        head, last = lines[0].message.id, lines[-1].message.id
        below = self._room.reached_below(head, last.number + 1, self._until, self._copies)
        reached = [
            place
            for place, line in self._on_way.items()
            if (line.message.id.log == head.log and head.number <= line.message.id.number < below)
            or self._room.has_reached(line.message.id, self._until, self._copies)
        ]
        return [Answer(line.number, line.message) for line in map(self._on_way.pop, reached)]

    def _receipts_changed(self, changed: asyncio.Future[None]) -> None:
        error = None if changed.cancelled() else changed.exception()
        if isinstance(error, Exception):  # the node stops
            self._refused += [Answer(line.number, error) for line in self._on_way.values()]
            self._on_way.clear()
        self._moved.set()

    def _take_late(self) -> list[Answer]:
        """Answers for what has not got there in time: all have the same, so the first are the first to be late."""
        answers: list[Answer] = []
        now_s = asyncio.get_running_loop().time()
        for place, line in list(self._on_way.items()):
            if line.deadline_s is None or line.deadline_s > now_s:
                break
            del self._on_way[place]
            answers.append(Answer(line.number, self._room.late(line.message.id, self._until, self._timeout_s or 0.0)))
        return answers

    async def _wait(self) -> None:
        """Until a line has come further, or one is late."""
        deadline_s = next(iter(self._on_way.values())).deadline_s if self._on_way else None
        if deadline_s is None:
            await self._moved.wait()
        else:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._moved.wait(), max(0.0, deadline_s - asyncio.get_running_loop().time()))
