"""Intake: batches of others, from bytes that came in to a place in their log.

How it works. A batch is looked at once: its signature bytes tell whether it was seen before, then it is
verified (what came through the tree was, before it was relayed), and waits for the next commit, where it gets
its place (history/frontier, history/forks):

    received --seen, malformed, forged, foreign room, queue full--> settled
    waiting --contribute--> PLACED       in the group; settled when that is durable
                            DUPLICATE    settled, and whoever pushed it is told that we hold it
                            COVERED      the stored batches that tell are loaded; then it waits again
                            FULL         it waits in the far buffer of its sender until its log moves;
                                         requests that it came by are settled, as there is no end to that wait
                            LOGS_FULL    refused: DENIED to the sender and the author
                            not asked    what is only kept for others may be too old or too much (custody)

Blame: who sends what does not verify is at fault, whoever wrote it, as each node verifies before it
stores. What only another order of arrival could have told (forks, limits) is nobody's fault.
What is refused or lost here for lack of room is not acknowledged, so it comes again by sync.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from zmqchat.history.batch import Batch, open_batch, open_stored, peek
from zmqchat.history.clock import HybridClock
from zmqchat.history.crypto import Crypto
from zmqchat.history.frontier import Load, Outcome, Placement
from zmqchat.history.ranges import Link
from zmqchat.model.faults import Fault
from zmqchat.model.ids import LogKey, PeerId, RoomId
from zmqchat.model.limits import BATCH_BYTES_MAX, FAR_BATCHES_MAX, FAR_BYTES_MAX, MIB
from zmqchat.protocol.data_effects import LogDenied, LogForked
from zmqchat.protocol.data_facts import (
    BatchHeld,
    BatchReceived,
    BatchSettled,
    CommitWanted,
    CustodyEnded,
    ForkGrew,
    OwnLogAhead,
)
from zmqchat.protocol.effects import Effect, LoadRange
from zmqchat.protocol.facts import Fact, Instant, RangeLoaded
from zmqchat.protocol.ledger import Group, Ledger
from zmqchat.protocol.machine import Machine, PeerFaulted, PeerUnlinked, SendFrame, Size
from zmqchat.wire.frames import Denied, encode

QUEUE_BYTES_MAX = 32 * MIB
"""Verified batches that wait for a commit. Pushes beyond it are dropped and come back by sync."""

GROUP_BYTES_MAX = 4 * MIB
"""What one commit takes of them: about 20 ms of disk."""

SEEN_MAX = 4_096
"""Batches whose signature is remembered: the same one comes by feed, push and pages."""

LOOKING_MAX = 32
"""Batches that wait for stored ones to be loaded, to tell a duplicate from a fork: 8 MiB at worst."""

DENIED_MAX = 1_024
"""Refused logs remembered, so that each is told once a sender."""

_SIGNATURE_BYTES = 64


@dataclass(slots=True)
class _Item:
    """A verified batch on its way.

    live    it was pushed first
    pushed  whoever brought it waits for a HAVE; else for the settling of its request
    others  who also brought it: (peer, request) and whether it was pushed
    far     it is in the far buffer
    """

    batch: Batch
    peer: PeerId
    live: bool
    pushed: bool
    request: int
    others: dict[tuple[PeerId, int], bool] = field(default_factory=dict)
    loaded: dict[Load, list[Link]] = field(default_factory=dict)
    loading: int = 0
    far: bool = False

    def senders(self) -> dict[tuple[PeerId, int], bool]:
        """All who brought it, by (peer, request), and whether they pushed it."""
        return {(self.peer, self.request): self.pushed, **self.others}


class Intake(Machine):
    """The machine of received batches, and a source of `committing`."""

    timer = "intake"

    def __init__(
        self,
        crypto: Crypto,
        clock: HybridClock,
        ledger: Ledger,
        tokens: Iterator[int],
        is_linked: Callable[[PeerId], bool],
        takes: Callable[[Batch, bool, Instant], bool],
    ) -> None:
        super().__init__()
        self._crypto = crypto
        self._clock = clock
        self._ledger = ledger
        self._tokens = tokens
        self._is_linked = is_linked
        self._takes = takes
        self._waiting: deque[_Item] = deque()
        self._waiting_bytes = 0
        self._under_way: list[_Item] = []
        self._seen: dict[bytes, _Item | tuple[RoomId, LogKey]] = {}
        self._looking: dict[int, tuple[_Item, Load]] = {}
        self._far: dict[PeerId, deque[_Item]] = {}
        self._denied: dict[tuple[PeerId, RoomId, PeerId, int], None] = {}
        self.facts = {
            BatchReceived: self._received,
            RangeLoaded: self._loaded,
            PeerUnlinked: self._unlinked,
            CustodyEnded: self._custody_ended,
        }
        self.frames = {Denied: self._denied_by}

    @property
    def waiting_bytes(self) -> int:
        """Bytes of verified batches that wait for a commit."""
        return self._waiting_bytes

    def far_batches(self, peer: PeerId) -> int:
        """How many batches of this peer wait because they fit no range."""
        return len(self._far.get(peer, ()))

    def sizes(self) -> tuple[Size, ...]:
        """Batches on their way to the disk, and what is remembered of those before."""
        far = [(len(items), sum(len(item.batch.raw) for item in items)) for items in self._far.values()]
        return (
            # What was far from its log comes back to the queue in one go.
            Size("waiting bytes", self._waiting_bytes, QUEUE_BYTES_MAX + FAR_BYTES_MAX * (1 + len(far))),
            Size("seen batches", len(self._seen), SEEN_MAX),
            Size("batches being looked at", len(self._looking), LOOKING_MAX),
            Size("far batches of a peer", max((count for count, _size in far), default=0), FAR_BATCHES_MAX),
            Size("far bytes of a peer", max((size for _count, size in far), default=0), FAR_BYTES_MAX),
            Size("refused logs", len(self._denied), DENIED_MAX),
        )

    # Receiving ---------------------------------------------------------------------------------

    def _received(self, fact: BatchReceived, _at: Instant) -> None:
        raw, peer = fact.raw, fact.peer
        seen = self._seen.get(raw[-_SIGNATURE_BYTES:])
        if isinstance(seen, _Item):
            if seen.far and not fact.pushed:
                self._settle(fact, kept=True)
                return
            seen.others[(peer, fact.request)] = fact.pushed
            return
        if seen is not None:
            self.outbox += _held(peer, fact.pushed, fact.request, *seen)
            return
        header = peek(raw)
        if isinstance(header, Fault):
            self._refuse(fact, header)
            return
        too_much = self._waiting_bytes + len(raw) > QUEUE_BYTES_MAX
        if not self._ledger.is_shared(header.room) or too_much:
            self._settle(fact, kept=False)
            return
        batch = fact.batch or open_batch(raw, self._crypto)
        if isinstance(batch, Fault):
            self._refuse(fact, batch)
            return
        key = LogKey(batch.author, batch.log)
        if self._ledger.is_current(key) and batch.end > self._ledger.contiguous_end(batch.room, key):
            self.outbox.append(OwnLogAhead(peer=peer, proven=True))
        self._wait(_Item(batch, peer, fact.pushed, fact.pushed, fact.request))

    def _wait(self, item: _Item) -> None:
        self._remember(item.batch.signature, item)
        self._waiting.append(item)
        self._waiting_bytes += len(item.batch.raw)
        if len(self._waiting) == 1:
            self.outbox.append(CommitWanted())

    def _remember(self, signature: bytes, what: _Item | tuple[RoomId, LogKey]) -> None:
        self._seen.pop(signature, None)
        self._seen[signature] = what
        if len(self._seen) > SEEN_MAX:
            self._seen.pop(next(iter(self._seen)))

    def _custody_ended(self, fact: CustodyEnded, _at: Instant) -> None:
        """What was seen of a room while it was kept for others may have been let go of."""
        self._ledger.rooms[fact.room].frontier.forget_recent()
        for signature, seen in list(self._seen.items()):
            if isinstance(seen, tuple) and seen[0] == fact.room:
                del self._seen[signature]

    def _refuse(self, fact: BatchReceived, fault: Fault) -> None:
        self.outbox.append(PeerFaulted(peer=fact.peer, fault=fault))
        self._settle(fact, kept=False)

    def _settle(self, fact: BatchReceived, *, kept: bool) -> None:
        if not fact.pushed:
            self.outbox.append(BatchSettled(peer=fact.peer, request=fact.request, kept=kept))

    # Committing --------------------------------------------------------------------------------

    def contribute(self, group: Group, at: Instant) -> None:
        """Give what waits its place, up to GROUP_BYTES_MAX."""
        bytes_max = group.size_bytes + GROUP_BYTES_MAX
        while self._waiting and group.size_bytes < bytes_max:
            item = self._waiting.popleft()
            self._waiting_bytes -= len(item.batch.raw)
            if not self._takes(item.batch, item.live, at):
                self._give_up(item, group.notes)
                continue
            placement = group.place(item.batch, item.loaded)
            if placement.outcome is Outcome.PLACED:
                self._placed(item, placement, group, at)
            else:
                self._not_placed(item, placement, group.notes)

    def _placed(self, item: _Item, placement: Placement, group: Group, at: Instant) -> None:
        batch = item.batch
        live = self._ledger.rooms[batch.room].is_live(batch.sealed_at, item.live)
        group.keep(batch, placement, item.peer, live)
        self._clock.observe(batch.sealed_at, at.wall_ms)
        self._under_way.append(item)
        if placement.forked and self._ledger.is_joined(batch.room):
            group.notes.append(LogForked(room=batch.room, key=placement.key))
            if self._ledger.is_current(placement.key):
                group.notes.append(OwnLogAhead(peer=item.peer, proven=True))

    def _not_placed(self, item: _Item, placement: Placement, notes: list[Effect | Fact]) -> None:
        if placement.outcome is Outcome.COVERED:
            self._look(item, placement, notes)
        elif placement.outcome is Outcome.FULL:
            self._put_far(item, notes)
        else:
            if placement.outcome is Outcome.LOGS_FULL:
                self._deny(item, notes)
            self._done(item, placement.key, notes)

    def _done(self, item: _Item, key: LogKey, notes: list[Effect | Fact]) -> None:
        room = item.batch.room
        self._remember(item.batch.signature, (room, key))
        for (peer, request), pushed in item.senders().items():
            notes += _held(peer, pushed, request, room, key)

    def _give_up(self, item: _Item, notes: list[Effect | Fact]) -> None:
        """It is not kept: whoever sent it on request is asked again."""
        self._seen.pop(item.batch.signature, None)
        for (peer, request), pushed in item.senders().items():
            if not pushed:
                notes.append(BatchSettled(peer=peer, request=request, kept=False))

    def committed(self, group: Group, _at: Instant) -> list[Effect | Fact]:
        """What was placed is durable; what waited far from it may fit now."""
        notes: list[Effect | Fact] = []
        under_way, self._under_way = self._under_way, []
        for item in under_way:
            room, key = item.batch.room, LogKey(item.batch.author, item.batch.log)
            self._remember(item.batch.signature, (room, key))
            if not item.pushed:
                notes.append(BatchSettled(peer=item.peer, request=item.request, kept=True))
            for (peer, request), pushed in item.others.items():
                notes += _held(peer, pushed, request, room, key)
            if self._ledger.rooms[room].frontier.is_forked(key.author, key.log):
                notes.append(ForkGrew(room=room))
        self._try_far(group)
        return notes

    def failed(self, _group: Group, _full: bool, _detail: str, _at: Instant) -> list[Effect | Fact]:
        """Nothing was kept: it is forgotten here, and comes again by sync."""
        notes: list[Effect | Fact] = []
        for item in self._under_way:
            self._give_up(item, notes)
        self._under_way = []
        return notes

    # Duplicate or fork: the stored rows tell ---------------------------------------------------

    def _look(self, item: _Item, placement: Placement, notes: list[Effect | Fact]) -> None:
        if len(self._looking) + len(placement.loads) > LOOKING_MAX:
            self._give_up(item, notes)
            return
        for load in placement.loads:
            token = next(self._tokens)
            self._looking[token] = (item, load)
            item.loading += 1
            notes.append(
                LoadRange(
                    token=token,
                    room=item.batch.room,
                    key=load.key,
                    first=load.first,
                    end=load.end,
                    bytes_max=BATCH_BYTES_MAX,
                )
            )

    def _loaded(self, fact: RangeLoaded, _at: Instant) -> None:
        item, load = self._looking.pop(fact.token, (None, None))
        if item is None or load is None:
            return
        stored = [open_stored(raw, self._crypto) for raw in fact.batches]
        item.loaded[load] = [batch for batch in stored if isinstance(batch, Batch)]
        item.loading -= 1
        if not item.loaded[load]:
            # A row that the frontier names can't be read, now or ever: nothing can be told, and nothing is changed.
            self._looking = {token: entry for token, entry in self._looking.items() if entry[0] is not item}
            self._give_up(item, self.outbox)
        elif not item.loading:
            self._wait(item)

    # The far buffer ----------------------------------------------------------------------------

    def _put_far(self, item: _Item, notes: list[Effect | Fact]) -> None:
        far = self._far.setdefault(item.peer, deque())
        far.append(item)
        # Its page is done with: what the buffer drops is found missing by the next exchange.
        for (peer, request), pushed in item.senders().items():
            if not pushed:
                notes.append(BatchSettled(peer=peer, request=request, kept=True))
        item.pushed = item.far = True
        item.others.clear()
        while len(far) > FAR_BATCHES_MAX or sum(len(i.batch.raw) for i in far) > FAR_BYTES_MAX:
            self._give_up(far.popleft(), notes)

    def _try_far(self, group: Group) -> None:
        moved = {(room, key.author, key.log) for room, key in group.after}
        for peer, far in list(self._far.items()):
            stay: deque[_Item] = deque()
            for item in far:
                batch = item.batch
                if (batch.room, batch.author, batch.log) in moved:
                    item.far = False
                    self._waiting.append(item)
                    self._waiting_bytes += len(batch.raw)
                else:
                    stay.append(item)
            if stay:
                self._far[peer] = stay
            else:
                del self._far[peer]

    def _unlinked(self, fact: PeerUnlinked, _at: Instant) -> None:
        for item in self._far.pop(fact.peer, ()):
            self._give_up(item, self.outbox)
        for denied in [entry for entry in self._denied if entry[0] == fact.peer]:
            del self._denied[denied]

    # Too many logs -----------------------------------------------------------------------------

    def _deny(self, item: _Item, notes: list[Effect | Fact]) -> None:
        batch = item.batch
        told = Denied(room=batch.room, author=batch.author, log=batch.log, reason="too many logs of this author")
        for peer in dict.fromkeys((item.peer, batch.author)):
            entry = (peer, batch.room, batch.author, batch.log)
            if entry not in self._denied and len(self._denied) < DENIED_MAX and self._is_linked(peer):
                self._denied[entry] = None
                notes.append(SendFrame(peer=peer, payload=encode(told)))

    def _denied_by(self, peer: PeerId, frame: Denied, _at: Instant) -> None:
        if frame.author == self._ledger.me:
            self.outbox.append(LogDenied(room=frame.room, log=frame.log, peer=peer, reason=frame.reason))
        elif frame.author != peer and self._is_linked(frame.author):
            self.outbox.append(SendFrame(peer=frame.author, payload=encode(frame)))


def _held(peer: PeerId, pushed: bool, request: int, room: RoomId, key: LogKey) -> list[Effect | Fact]:
    if pushed:
        return [BatchHeld(peer=peer, room=room, key=key)]
    return [BatchSettled(peer=peer, request=request, kept=True)]
