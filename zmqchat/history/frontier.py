"""What this node holds of a room: the frontier of each log, and where a further batch belongs.

    placement = frontier.place(batch)       pure: nothing changes yet
      PLACED        store placement.stored and placement.changes, then `apply(placement)`
      DUPLICATE     it is held
      COVERED       its numbers are; whether by itself only stored rows tell: load each of
                    placement.loads and call place(batch, {load: batches}) (see forks.py)
      PRUNED        it lies below the floor
      FULL          it fits no range and no branch now; it may after others came
      LOGS_FULL     its author has too many logs here

The caller may apply a placement before it is durable, so that the next batch of the log finds its place;
if the store then fails, it puts back what is on disk.

The hash. Each author has a digest over the sorted (log, branch, start, end, head) of his ranges, made anew
only when one of them changed, and the room's hash is one over all authors' digests in the order of their ids.
A batch costs nothing but a mark; asking costs one small hash for each author that changed and 16 bytes of input
for each that did not (`authordigests`). Both are BLAKE2b-128 with labels of their own: equal by accident once in
2^64 rooms, and nobody can make two sets collide. (Rejected: XOR of the entries' hashes. It needs no
sorting, but whoever owns 129 logs can choose some whose hashes cancel out any other entry, and so hide a
third person's batch from repair. And to leave out `start`: who holds but the newest batch of a log would
agree with who holds all of it.) Pruning shows in no hash: `start` is where a chain began before it was
pruned, and 0 for what begins at the floor.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Final, NamedTuple

from zmqchat.history.authordigests import HASH_BYTES, AuthorDigests
from zmqchat.history.forks import (
    Before,
    Grown,
    Known,
    Load,
    Loaded,
    branches,
    delivered_of,
    first_waiting,
    given_of,
    insert,
)
from zmqchat.history.ranges import Extent, Link, LogFrontier, Range, Span, extended, without
from zmqchat.model.ids import MAIN_BRANCH, LogKey, PeerId
from zmqchat.model.layered import Layered
from zmqchat.model.limits import BATCH_EVENTS_MAX, BRANCHES_MAX, LOGS_PER_AUTHOR_MAX

__all__ = ["Extent", "Load", "LogFrontier", "Outcome", "Placement", "Range", "RoomFrontier", "Span"]

_HASHED_RANGE = struct.Struct(">Q8sQQ32s")
_AUTHOR_LABEL: Final = b"zmqchat-author-1"
_RECENT_MAX: Final = 64
_NOTHING_LOADED: Final[Loaded] = {}
_NO_LOGS: Final[Mapping[LogKey, LogFrontier]] = {}

Changes = tuple[tuple[LogKey, LogFrontier | None], ...]


class Outcome(Enum):
    """What `place` found."""

    PLACED = "placed"
    DUPLICATE = "duplicate"
    COVERED = "covered"
    PRUNED = "pruned"
    FULL = "full"
    LOGS_FULL = "logs full"


class Placement(NamedTuple):
    """Where a batch belongs.

    key        the log and branch that it is in from now on
    stored     the key to store its row under
    changes    the frontiers that change with it; None removes one
    forked     whether this batch shows that its log is forked, which nobody knew before
    loads      where COVERED, what must be read to tell
    digest     of the batch
    """

    outcome: Outcome
    key: LogKey
    stored: LogKey
    changes: Changes = ()
    forked: bool = False
    loads: tuple[Load, ...] = ()
    digest: bytes = b""


class RoomFrontier:
    """The logs of one room as far as they are held here."""

    def __init__(self) -> None:
        self._logs: Layered[PeerId, dict[LogKey, LogFrontier]] = Layered()
        self._named: dict[tuple[PeerId, int], list[bytes]] = {}
        self._recent: dict[bytes, None] = {}
        self._digests = AuthorDigests()

    def copy(self) -> RoomFrontier:
        """Another one that begins as this; what neither changes is kept once."""
        other = RoomFrontier()
        other._logs = self._logs.copy()
        other._named = {log: list(names) for log, names in self._named.items()}
        self._digests.hash(self._author_digest)
        other._digests = self._digests.copy()
        return other

    # Looking -------------------------------------------------------------------------------------

    def get(self, key: LogKey) -> LogFrontier | None:
        """The frontier of a log or branch; None where nothing of it is known."""
        logs: Mapping[LogKey, LogFrontier] = self._logs.get(key.author, _NO_LOGS)
        return logs.get(key)

    def __getitem__(self, key: LogKey) -> LogFrontier:
        return self._logs[key.author][key]

    def __contains__(self, key: LogKey) -> bool:
        return key in self._logs.get(key.author, _NO_LOGS)

    def __iter__(self) -> Iterator[LogKey]:
        for logs in self._logs.values():
            yield from logs

    def __len__(self) -> int:
        return sum(map(len, self._logs.values()))

    def items(self) -> Iterator[tuple[LogKey, LogFrontier]]:
        """All logs and branches, authors in the order in which they were first heard of."""
        for logs in self._logs.values():
            yield from logs.items()

    def of_author(self, author: PeerId) -> list[tuple[LogKey, LogFrontier]]:
        """The logs and branches of one author, by log number and branch."""
        return sorted(self._logs.get(author, _NO_LOGS).items())

    def is_forked(self, author: PeerId, log: int) -> bool:
        """Whether the log has branches, and so is closed for its author."""
        return (author, log) in self._named

    def branches(self, author: PeerId, log: int) -> list[LogKey]:
        """The main branch, where it is known, and the others of a log."""
        names = [MAIN_BRANCH, *self._named.get((author, log), ())]
        return [key for key in (LogKey(author, log, name) for name in names) if key in self]

    @property
    def hash(self) -> bytes:
        """16 bytes that are equal on two nodes when they hold the same of this room."""
        return self._digests.hash(self._author_digest)

    def _author_digest(self, author: PeerId) -> bytes:
        """The digest over what is held of an author; no bytes where that is nothing."""
        parts = [
            _HASHED_RANGE.pack(key.log, key.branch, _hashed_start(key, frontier, held), held.end, held.head)
            for key, frontier in self.of_author(author)
            for held in frontier.ranges
        ]
        if not parts:
            return b""
        data = b"".join((author, *parts))
        return hashlib.blake2b(data, digest_size=HASH_BYTES, person=_AUTHOR_LABEL).digest()

    # Placing -------------------------------------------------------------------------------------

    def place(self, batch: Link, loaded: Loaded = _NOTHING_LOADED) -> Placement:
        """Where the batch belongs; changes nothing."""
        author = batch.author
        key = LogKey(author, batch.log)
        if batch.digest in self._recent:
            return Placement(Outcome.DUPLICATE, key, key)
        logs: Mapping[LogKey, LogFrontier] = self._logs.get(author, _NO_LOGS)
        main = logs.get(key)
        forked = (author, batch.log) in self._named
        if main is not None and main.ranges and not forked:
            longer = extended(main.ranges[-1], batch)
            if longer is not None:
                grown = main._replace(ranges=(*main.ranges[:-1], longer))
                return Placement(Outcome.PLACED, key, key, ((key, grown),), False, (), batch.digest)
        if main is None and not forked and self._has_all_logs(logs):
            return Placement(Outcome.LOGS_FULL, key, key)
        if main is not None and batch.first < main.floor:
            return Placement(Outcome.PRUNED, key, key)
        return self._place_among(batch, key, loaded)

    def _place_among(self, batch: Link, key: LogKey, loaded: Loaded) -> Placement:
        before = {entry.branch: self[entry] for entry in self.branches(key.author, key.log)}
        grown = insert([held for frontier in before.values() for held in frontier.ranges], batch, loaded)
        if isinstance(grown, Known):
            return Placement(Outcome.DUPLICATE if grown is Known.DUPLICATE else Outcome.PRUNED, key, key)
        if not isinstance(grown, Grown):
            return Placement(Outcome.COVERED, key, key, loads=grown)
        main = before.get(MAIN_BRANCH, LogFrontier())
        after = branches(grown.segments, main.floor)
        if after is None:
            return Placement(Outcome.FULL, key, key)
        changes: list[tuple[LogKey, LogFrontier | None]] = []
        placed_in = MAIN_BRANCH
        for branch, ranges in after.items():
            if grown.placed in ranges:
                placed_in = branch
            frontier = _delivered(branch, LogFrontier(main.floor, ranges), before, grown, batch)
            if frontier != before.get(branch):
                changes.append((key._replace(branch=branch), frontier))
        for branch in before:
            if branch not in after:
                # An empty main branch stays where it has a floor: what was pruned must not come back.
                kept = LogFrontier(main.floor, (), main.floor) if branch == MAIN_BRANCH and main.floor else None
                changes.append((key._replace(branch=branch), kept))
        return Placement(
            Outcome.PLACED,
            key._replace(branch=placed_in),
            key._replace(branch=grown.stored_branch),
            tuple(changes),
            forked=bool(set(after) - {MAIN_BRANCH}) and (key.author, key.log) not in self._named,
            digest=batch.digest,
        )

    def _has_all_logs(self, logs: Mapping[LogKey, LogFrontier]) -> bool:
        return len(logs) >= LOGS_PER_AUTHOR_MAX and len({key.log for key in logs}) >= LOGS_PER_AUTHOR_MAX

    # Changing ------------------------------------------------------------------------------------

    def apply(self, placement: Placement) -> None:
        """Make the changes of a placement."""
        for key, frontier in placement.changes:
            self.put(key, frontier)
        if placement.outcome is Outcome.PLACED:
            self._recent[placement.digest] = None
            if len(self._recent) > _RECENT_MAX:
                del self._recent[next(iter(self._recent))]

    def put(self, key: LogKey, frontier: LogFrontier | None) -> None:
        """Set one log's frontier as the store has it, or with another floor or `delivered`; None removes it."""
        logs = self._logs.own(key.author, dict)
        if logs is None:
            logs = self._logs[key.author] = {}
        before = logs.pop(key, None) if frontier is None else logs.get(key)
        if frontier is not None:
            logs[key] = frontier
        if not logs:
            self._logs.pop(key.author)
        if key.branch != MAIN_BRANCH and (before is None) != (frontier is None):
            self._toggle_branch(key)
        if before is None or frontier is None or before.ranges is not frontier.ranges or before.floor != frontier.floor:
            self._digests.mark(key.author)

    def _toggle_branch(self, key: LogKey) -> None:
        log = (key.author, key.log)
        names = set(self._named.get(log, ())) ^ {key.branch}
        if names:
            self._named[log] = sorted(names)
        else:
            del self._named[log]

    def forget_recent(self) -> None:
        """Forget which batches came last: to be called where placements were applied and then not stored."""
        self._recent.clear()

    # Comparing -----------------------------------------------------------------------------------

    def missing(self, key: LogKey, theirs: Sequence[tuple[int, int, bytes, bytes]], their_floor: int) -> list[Span]:
        """What of a peer's log to ask for: its ranges (first, end, head, previous) less what is held here.

        A chain is known by its last batch, so what is held under another branch's name is not asked for. Where
        chains differ, numbers say nothing of what is held: only what lies just below the known part of the
        other chain is asked for, as much again as is known of it, until it joins what is held. So a caller
        that got all it asked for compares again.
        """
        log = [(branch, held) for branch in self.branches(key.author, key.log) for held in self[branch].ranges]
        if not log and self._has_all_logs(self._logs.get(key.author, _NO_LOGS)):
            return []
        chains = {(held.end, held.head): (branch, held) for branch, held in log}
        entry, main = self.get(key), self.get(key._replace(branch=MAIN_BRANCH))
        ends = {held.end for held in entry.ranges} if entry is not None else set()
        may_branch = len(self._named.get((key.author, key.log), ())) < BRANCHES_MAX
        by_number, by_chain = [], []
        for first, end, head, *_ in theirs:
            branch, twin = chains.get((end, head), (key, None))
            known_from, twin_end = (twin.start, twin.end) if twin is not None else (end, end)
            while twin is not None and (known_from, twin.previous) in chains:
                # What a branch goes on from is held under another name still.
                twin = chains[known_from, twin.previous][1]
                known_from = twin.start
            if twin is not None and branch == key:
                by_number.append((first, known_from))
            elif twin is not None:
                step = max(twin_end - known_from, BATCH_EVENTS_MAX)
                by_chain.append((max(first, known_from - step), known_from))
            elif end not in ends and (entry is not None or may_branch):
                by_number.append((first, end))
            elif may_branch:
                by_chain.append((max(first, end - BATCH_EVENTS_MAX), end))
        floor = max(main.floor if main is not None else 0, their_floor)
        wanted = without(by_number, entry.held() if entry is not None else [])
        return without([(max(first, floor), end) for first, end in wanted + by_chain], [])


def _hashed_start(key: LogKey, frontier: LogFrontier, held: Range) -> int:
    return 0 if key.branch == MAIN_BRANCH and held.start <= frontier.floor else held.start


def _delivered(
    branch: bytes, after: LogFrontier, before: Mapping[bytes, LogFrontier], grown: Grown, batch: Link
) -> LogFrontier:
    """The frontier of a branch after its log changed, with how far it was delivered."""
    old = [(held, frontier) for frontier in before.values() for held in frontier.ranges]
    if branch != MAIN_BRANCH:
        position = delivered_of(after.ranges[0], old, batch if after.ranges[0] is grown.placed else None)
    else:
        main = before.get(MAIN_BRANCH, LogFrontier())
        if set(before) <= {MAIN_BRANCH} and main.delivered <= after.end:
            return after._replace(delivered=main.delivered, given=main.given)
        position = _main_delivered(main, after, old, grown, batch)
    return after._replace(given=given_of(after.ranges, old, position)).with_delivered(position)


def _main_delivered(main: LogFrontier, after: LogFrontier, old: Before, grown: Grown, batch: Link) -> int:
    """Parts of the main branch keep its position; what came back from a branch brings its own."""
    position = min(main.delivered, after.end)
    for held in after.ranges:
        if held is grown.placed and held.start <= main.delivered <= held.end:
            position = max(main.floor, delivered_of(held, old, batch))
    waiting = first_waiting(after.ranges, old)
    return position if waiting is None else min(position, waiting)
