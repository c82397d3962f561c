"""Broadcast: live batches in a partial mesh, along a tree a room that the batches themselves draw.

How it works. Plumtree (Leitão, Pereira, Rodrigues: Epidemic Broadcast Trees, SRDS 2007) over the links of the overlay,
with a tree a room. A batch that is new here goes on over the eager links, its name (IHAVE) over the lazy ones:

    eager --the batch came by it a second time: PRUNE--> lazy           ("Gossip and Tree Construction", algorithm 1)
    lazy  --announced, and not here in time: GRAFT-----> eager          ("Fault Tolerance and Tree Repair", algorithm 2)
    lazy  --announced with far fewer hops: GRAFT-------> eager, and the link that was slower is pruned
                                                                        ("Optimization", algorithm 4)
    a link comes up: eager; one goes: forgotten, the lazy ones repair   ("Dynamic Membership", algorithm 3)

So once a tree has settled each node gets each batch once. One author at a time draws it (`trees`). An author sends its
own batches over its eager links like anybody else's: over all its links they would come a second time to whoever is
nearer by the tree (measured: 12 % more payloads at 100 nodes, and a tree that each author redraws).

A batch is verified before it is relayed, so that a forged one costs its sender and goes no further. It is relayed
before it is stored: a relay promises nothing (HAVE does, and comes after the disk), and a disk at each hop would make a
chain of eight as slow as eight disks. This node relays rooms that it is not in, too.

A peer is slow when the RELAY frames that it was sent and has not said to have read (TAKEN) pass the link's budget: then
it gets names only until it has caught up, and its GRAFTs, like those for what is not here any more, are answered by
WITHHELD (`debts`). A peer that knows no such frames gets PUSH where it is in the room. Anti-entropy repairs the rest.
"""

from __future__ import annotations

from collections.abc import Callable

from zmqchat.history.batch import Batch, open_batch, peek
from zmqchat.history.clock import wall_ms_of
from zmqchat.history.crypto import Crypto
from zmqchat.model.faults import Fault
from zmqchat.model.ids import LogKey, PeerId, RoomId
from zmqchat.model.limits import (
    TREE_ENTRIES_PER_FRAME_MAX,
    TREE_HOPS_MAX,
    TREE_REQUESTS_PER_S_MAX,
    TREE_RESENT_BYTES_PER_S_MAX,
)
from zmqchat.protocol.awaited import AwaitedBatches
from zmqchat.protocol.data_facts import BatchesStored, BatchReceived, PushReceived
from zmqchat.protocol.effects import SetTimer
from zmqchat.protocol.facts import Instant, LinkBlocked, TimerFired
from zmqchat.protocol.gaps import Gaps
from zmqchat.protocol.interests import Interests
from zmqchat.protocol.ledger import Ledger
from zmqchat.protocol.lines import Line
from zmqchat.protocol.machine import (
    OVERLAY_FEATURE,
    EchoHeard,
    EchoWanted,
    Machine,
    PeerFaulted,
    PeerLinked,
    PeerSlow,
    PeerUnlinked,
    SendFrame,
    Size,
)
from zmqchat.protocol.pace import Pace
from zmqchat.protocol.paths import Paths
from zmqchat.protocol.relayed import Relayed, Seen
from zmqchat.protocol.trees import Trees
from zmqchat.wire.frames import PUSH_PREFIX, Frame, encode
from zmqchat.wire.gap_frames import Spare
from zmqchat.wire.tree_frames import (
    NO_TREE_ID,
    RELAY_HEAD_BYTES,
    Graft,
    IHave,
    Prune,
    Relay,
    Taken,
    Withheld,
    relay_frame,
    tree_id,
)

GRAFT_MIN_S = 0.08
"""How long an announced batch may take to come by the tree; at least 3 round trips, as DESIGN 6 has it."""

ANNOUNCE_S = 0.02
"""How long names wait for more of them: one frame for what a burst relays. The larger id of the two ends of a link
waits once more: whoever was told of a batch need not tell of it, unless far fewer hops led to it."""

OPTIMISE_HOPS = 4
"""How many hops fewer a lazy link must promise."""

STALE_MS = 600_000
"""A batch that is held here and this old is not relayed again: somebody plays back what was said long ago."""

FRESH_MS = 10_000
"""What was said so short a time ago is relayed over gaps even where it came by an exchange."""


class Broadcast(Machine):
    """The machine of the trees; emits BatchReceived, EchoWanted, PeerFaulted and PeerSlow."""

    timer = "broadcast"

    def __init__(
        self,
        crypto: Crypto,
        ledger: Ledger,
        interests: Interests,
        rtt_s: Callable[[PeerId], float],
        is_partial: Callable[[], bool],
        gaps: Gaps,
    ) -> None:
        super().__init__()
        self._crypto = crypto
        self._ledger = ledger
        self._interests = interests
        self._rtt_s = rtt_s
        self._is_partial = is_partial
        self._gaps = gaps
        self._lines: dict[PeerId, Line] = {}
        self._others: dict[PeerId, None] = {}
        self._trees = Trees()
        self._relayed = Relayed()
        self._awaited = AwaitedBatches()
        self._requested = Pace(TREE_REQUESTS_PER_S_MAX)
        self._requesting = Pace(TREE_REQUESTS_PER_S_MAX // 2)
        self._resent = Pace(TREE_RESENT_BYTES_PER_S_MAX)
        self._announcing = self._announcing_late = False
        self._graft_at_s: float | None = None
        self.paths = Paths()
        self.facts = {
            PeerLinked: self._linked,
            PeerUnlinked: self._unlinked,
            LinkBlocked: self._blocked,
            BatchesStored: self._stored,
            PushReceived: self._pushed,
            EchoHeard: self._echoed,
            TimerFired: self._timer_fired,
        }
        self.frames = {
            Relay: self._relay,
            IHave: self._announced,
            Graft: self._grafted,
            Withheld: self._withheld,
            Prune: self._pruned,
            Taken: self._taken,
        }

    # Questions -----------------------------------------------------------------------------------

    def is_slow(self, peer: PeerId) -> bool:
        """Whether the peer is too far behind to be sent batches."""
        return peer in self._lines and self._lines[peer].is_slow

    @property
    def links(self) -> list[PeerId]:
        """The links that know the frames of trees, oldest first."""
        return list(self._lines)

    def is_eager(self, room: RoomId, peer: PeerId) -> bool:
        """Whether this room's batches go over the link to this peer."""
        return self._trees.is_eager(room, peer)

    def is_lazy(self, room: RoomId, peer: PeerId) -> bool:
        """Whether only the names of this room's batches go over it."""
        return peer in self._lines and not self._trees.is_eager(room, peer)

    def sizes(self) -> tuple[Size, ...]:
        """The memory of a relay."""
        return (*self._trees.sizes(), *self._relayed.sizes(), *self._awaited.sizes(), *self.paths.sizes())

    # Links ---------------------------------------------------------------------------------------

    def _linked(self, fact: PeerLinked, _at: Instant) -> None:
        if OVERLAY_FEATURE in fact.features:
            self._lines[fact.peer] = Line()
            self._trees.link(fact.peer)
        else:
            self._others[fact.peer] = None

    def _unlinked(self, fact: PeerUnlinked, _at: Instant) -> None:
        self._lines.pop(fact.peer, None)
        self._others.pop(fact.peer, None)
        self._trees.unlink(fact.peer)
        self._awaited.unlink(fact.peer)
        self.paths.unlink(fact.peer)

    def _blocked(self, fact: LinkBlocked, at: Instant) -> None:
        if fact.peer in self._lines:
            self._lines[fact.peer].dropped(at.now_s)

    # In ------------------------------------------------------------------------------------------

    def _relay(self, peer: PeerId, frame: Relay, at: Instant) -> None:
        line = self._lines.get(peer)
        if line is None:
            return
        read = line.read(len(frame.batch))
        if read is not None:
            self._send(peer, Taken(size_bytes=read))
        name = tree_id(frame.batch)
        line.debts.relayed(name, len(frame.batch))
        seen = self._relayed.get(name)
        if seen is None:
            self._new(peer, name, frame.batch, frame.hops, at)
        elif seen.peer != peer:
            self._again(peer, seen, frame.hops, at)

    def _again(self, peer: PeerId, seen: Seen, hops: int, at: Instant) -> None:
        """A second copy: the tree has a circle, closed by this link, or by the first one where its peer is behind."""
        self.paths.also(seen, peer, hops - 1)
        if self._gaps.routes(peer):
            if self._requesting.allows(peer, 1, at.now_s):
                self._send(peer, Spare(author=seen.author))
        elif self._trees.is_drawn_by(seen.room, seen.author):
            first = None if seen.peer is None else self._lines.get(seen.peer)
            if seen.peer is not None and first is not None and first.is_behind and not self._lines[peer].is_behind:
                peer, seen.peer, seen.hops = seen.peer, peer, hops
                self._trees.make_eager(seen.room, seen.peer)
            self._prune(seen.room, peer, at)

    def _prune(self, room: RoomId, peer: PeerId, at: Instant) -> None:
        self._trees.make_lazy(room, peer)
        if self._is_pruned(room, peer, at):
            return
        if self._requesting.allows(peer, 1, at.now_s):
            self._lines[peer].pruned(room, at.now_s)
            self._send(peer, Prune(room=room))

    def _is_pruned(self, room: RoomId, peer: PeerId, at: Instant) -> bool:
        """Whether PRUNE has just left, so that what comes from there says nothing of the tree."""
        return self._lines[peer].is_pruned(room, at.now_s, self._graft_wait_s(peer))

    def _graft(self, room: RoomId, peer: PeerId, name: bytes, at: Instant) -> bool:
        self._trees.make_eager(room, peer)
        self._lines[peer].grafted(room)
        if not self._requesting.allows(peer, 1, at.now_s):
            return False
        self._send(peer, Graft(room=room, id=name))
        return True

    def _pushed(self, fact: PushReceived, at: Instant) -> None:
        name = tree_id(fact.raw)
        if self._relayed.get(name) is None:
            self._new(fact.peer, name, fact.raw, 1, at)
        else:
            # It is settled by `intake`, which tells whoever pushed it that it is held here.
            self.outbox.append(BatchReceived(peer=fact.peer, raw=fact.raw, pushed=True))

    def _new(self, peer: PeerId, name: bytes, raw: bytes, hops: int, at: Instant) -> None:
        header = peek(raw)
        batch = header if isinstance(header, Fault) else open_batch(raw, self._crypto)
        if isinstance(batch, Fault):
            self.outbox.append(PeerFaulted(peer=peer, fault=batch))
            return
        seen = Seen(batch.room, batch.author, batch.log, peer, hops, at.now_s)
        self._relayed.add(name, seen, raw)
        self.paths.came((batch.room, batch.author, batch.log), peer)
        by_gaps = self._gaps.routes(peer)
        if not by_gaps:
            self._trees.heard(batch.room, batch.author, at.now_s)
            if peer in self._lines and not self._is_pruned(batch.room, peer, at):
                # Whoever brings what is new is the parent in the tree, but for what was on its way when PRUNE left.
                self._trees.make_eager(batch.room, peer)
        awaited = self._awaited.arrived(name)
        if hops < TREE_HOPS_MAX and not self._is_stale(batch, at):
            if by_gaps:
                self._forward_over_gaps(name, batch, hops, peer, at)
            else:
                self._forward(name, batch.room, raw, hops, peer, at)
        if self._ledger.is_shared(batch.room):
            self.outbox.append(BatchReceived(peer=peer, raw=raw, pushed=True, batch=batch))
        for other, other_hops in awaited.hops.items() if awaited is not None else ():
            self._optimise(seen, other, other_hops, at)
            self.paths.also(seen, other, other_hops)

    def _is_stale(self, batch: Batch, at: Instant) -> bool:
        held = batch.end <= self._ledger.contiguous_end(batch.room, LogKey(batch.author, batch.log))
        return held and wall_ms_of(batch.sealed_at) < at.wall_ms - STALE_MS

    # Out -----------------------------------------------------------------------------------------

    def _stored(self, fact: BatchesStored, at: Instant) -> None:
        partial = self._is_partial()
        gapped = self._gaps.is_gapped and not partial
        for stored in fact.batches:
            batch = stored.batch
            if stored.peer is not None:
                self._came(batch, stored.peer, at)
            elif partial or gapped:
                name = tree_id(batch.raw)
                self._relayed.add(name, Seen(batch.room, batch.author, batch.log, None, 0, at.now_s), batch.raw)
                if gapped:
                    self._send_beyond(name, batch, at)
                else:
                    self._trees.heard(batch.room, batch.author, at.now_s)
                    self._forward(name, batch.room, batch.raw, 0, None, at)

    def _came(self, batch: Batch, peer: PeerId, at: Instant) -> None:
        """Another's batch is stored: if by an exchange, it need not be asked for, and shows the way to its author."""
        needed = not self._is_partial() and self._gaps.is_lacked(batch.author)
        if not (needed or self._is_partial()) and self._interests.is_linked(batch.author):
            return
        name = tree_id(batch.raw)
        if self._relayed.get(name) is not None:
            return
        self._awaited.arrived(name)
        self.paths.came((batch.room, batch.author, batch.log), peer)
        if needed and wall_ms_of(batch.sealed_at) > at.wall_ms - FRESH_MS:
            # A relay before us did not do its part: those behind us would wait for an exchange each.
            self._relayed.add(name, Seen(batch.room, batch.author, batch.log, peer, 1, at.now_s), batch.raw)
            self._forward_over_gaps(name, batch, 1, peer, at)

    def _forward(self, name: bytes, room: RoomId, raw: bytes, hops: int, source: PeerId | None, at: Instant) -> None:
        eager, lazy = self._trees.split(room)
        if not eager and source is None:
            eager, lazy = lazy, eager  # everybody has pruned us: nobody would have our own batch before asking for it
        payload = relay_frame(hops + 1, raw)
        for peer in eager:
            if peer != source:
                self._tell(peer, room, name, payload, hops, at)
        for peer in lazy:
            if peer != source:
                self._announce(peer, room, name, hops, at)
        if source is not None:
            # Own batches go to these by `fanout`.
            for peer in self._others:
                if peer != source and self._is_in(peer, room):
                    self.outbox.append(SendFrame(peer=peer, payload=PUSH_PREFIX + raw))

    def _forward_over_gaps(self, name: bytes, batch: Batch, hops: int, source: PeerId, at: Instant) -> None:
        targets = self._gaps.targets(batch.author, source)
        beyond = self._gaps.beyond() if targets else {}
        payload = relay_frame(hops + 1, batch.raw) if targets else b""
        for peer, is_eager in targets:
            if peer not in self._lines or (peer not in beyond and not self._is_in(peer, batch.room)):
                continue
            if is_eager:
                self._tell(peer, batch.room, name, payload, hops, at)
            else:
                self._announce(peer, batch.room, name, hops, at)

    def _send_beyond(self, name: bytes, batch: Batch, at: Instant) -> None:
        """Own batches go to the members by `fanout`; others may have to relay them."""
        for peer in self._gaps.beyond():
            if peer in self._lines and not self._is_in(peer, batch.room):
                self._tell(peer, batch.room, name, relay_frame(1, batch.raw), 0, at)

    def _is_in(self, peer: PeerId, room: RoomId) -> bool:
        return self._interests.takes_part(peer, room)

    def _tell(self, peer: PeerId, room: RoomId, name: bytes, payload: bytes, hops: int, at: Instant) -> None:
        if self._lines[peer].is_slow:
            self._announce(peer, room, name, hops, at)
        else:
            self._send_relay(peer, payload, at)

    def _send_relay(self, peer: PeerId, payload: bytes, at: Instant) -> None:
        self._lines[peer].sent(len(payload) - RELAY_HEAD_BYTES, at.now_s)
        self.outbox.append(SendFrame(peer=peer, payload=payload))

    def _announce(self, peer: PeerId, room: RoomId, name: bytes, hops: int, at: Instant) -> None:
        names = self._lines[peer].names.setdefault(room, {})
        names[name] = hops
        if len(names) >= TREE_ENTRIES_PER_FRAME_MAX:
            self._send_names(peer, self._lines[peer])
        elif not self._announcing:
            self._announcing = True
            self.outbox.append(SetTimer(name=(self.timer, "announce"), at_s=at.now_s + ANNOUNCE_S))

    def _send_names(self, peer: PeerId, line: Line) -> None:
        for frame in line.take_names():
            self._send(peer, frame)

    # Repair, optimisation ------------------------------------------------------------------------

    def _announced(self, peer: PeerId, frame: IHave, at: Instant) -> None:
        if peer not in self._lines:
            return
        due_s = at.now_s + self._graft_wait_s(peer)
        self._lines[peer].drop_names(frame.room, frame.entries, OPTIMISE_HOPS)
        for name, hops in frame.entries:
            seen = self._relayed.get(name)
            if seen is None:
                self._awaited.announced(name, frame.room, peer, hops, due_s, at.now_s)
            elif seen.room == frame.room:
                self.paths.also(seen, peer, hops)
                self._optimise(seen, peer, hops, at)
        self._set_graft_timer(at)

    def _graft_wait_s(self, peer: PeerId) -> float:
        return max(GRAFT_MIN_S, 3 * self._rtt_s(peer))

    def _optimise(self, seen: Seen, peer: PeerId, hops: int, at: Instant) -> None:
        parent = seen.peer
        if parent is None or parent == peer or self._trees.is_eager(seen.room, peer) or self._gaps.routes(peer):
            return
        if not self._trees.is_drawn_by(seen.room, seen.author):
            return
        fewer = seen.hops - (hops + 1) >= OPTIMISE_HOPS
        if not self._lines[peer].promises(seen.room, fewer=fewer) or not self._trees.is_eager(seen.room, parent):
            return
        self._graft(seen.room, peer, NO_TREE_ID, at)
        self._prune(seen.room, parent, at)

    def _grafted(self, peer: PeerId, frame: Graft, at: Instant) -> None:
        line = self._lines.get(peer)
        if line is None or not self._is_heeded(peer, at):
            return
        self._trees.make_eager(frame.room, peer)
        line.grafted(frame.room)
        if frame.id == NO_TREE_ID:
            return
        seen, again = self._relayed.get(frame.id), self._relayed.again(frame.id, frame.room)
        if seen is not None:
            self._gaps.unspare(peer, seen.author)
        if again is not None and not line.is_slow and self._resent.allows(peer, len(again), at.now_s):
            self._send_relay(peer, again, at)
        else:
            self._send(peer, Withheld(room=frame.room, id=frame.id))

    def _withheld(self, peer: PeerId, frame: Withheld, at: Instant) -> None:
        if peer in self._lines:
            faults = self._lines[peer].debts.withheld(frame.id, at.now_s)
            self.outbox += [PeerFaulted(peer=peer, fault=fault) for fault in faults]
            self._awaited.withheld(frame.id, peer, at.now_s)
            self._set_graft_timer(at)

    def _pruned(self, peer: PeerId, frame: Prune, at: Instant) -> None:
        if peer in self._lines and self._is_heeded(peer, at):
            self._trees.make_lazy(frame.room, peer)

    def _is_heeded(self, peer: PeerId, at: Instant) -> bool:
        if self._requested.allows(peer, 1, at.now_s):
            return True
        fault = Fault(reason="flood", detail="GRAFT and PRUNE without end", score=-10)
        self.outbox.append(PeerFaulted(peer=peer, fault=fault))
        return False

    def _taken(self, peer: PeerId, frame: Taken, _at: Instant) -> None:
        if peer in self._lines:
            self._lines[peer].taken(frame.size_bytes)

    # Time ----------------------------------------------------------------------------------------

    def _timer_fired(self, fact: TimerFired, at: Instant) -> None:
        if fact.name[1] == "announce":
            self._announce_all(at)
        elif fact.name[1] == "announce late":
            self._announce_late()
        else:
            self._ask_due(at)

    def _ask_due(self, at: Instant) -> None:
        self._graft_at_s = None
        asks, late = self._awaited.take_due(at.now_s, self._graft_wait_s)
        for name, room, peer in asks:
            if not self._graft(room, peer, name, at):
                self._awaited.not_asked(name, peer)
        for name, peer in late:
            self._lines[peer].debts.add(name)
        for peer in dict.fromkeys(peer for _name, peer in late):
            self._try(peer, at, is_over=self._lines[peer].debts.is_overdue(at.now_s))
        self._set_graft_timer(at)

    def _echoed(self, fact: EchoHeard, at: Instant) -> None:
        if fact.peer in self._lines:
            self._try(fact.peer, at, is_over=True)

    def _try(self, peer: PeerId, at: Instant, *, is_over: bool) -> None:
        debts = self._lines[peer].debts
        if is_over:
            self.outbox += [PeerFaulted(peer=peer, fault=fault) for fault in debts.judge(at.now_s)]
        if debts.is_ping_due(at.now_s):
            self.outbox.append(EchoWanted(peer=peer))

    def _announce_all(self, at: Instant) -> None:
        """Tell the names that wait, of the two ends of a link the smaller id first: mostly the other has heard then."""
        self._announcing = False
        for peer, line in self._lines.items():
            if self._ledger.me < peer:
                self._send_names(peer, line)
            elif line.names and not self._announcing_late:
                self._announcing_late = True
                self.outbox.append(SetTimer(name=(self.timer, "announce late"), at_s=at.now_s + ANNOUNCE_S))
            # Names go to a slow peer as long as anything is said: this comes by while it matters.
            if line.is_slow_for_long(at.now_s):
                self.outbox.append(PeerSlow(peer=peer))

    def _announce_late(self) -> None:
        self._announcing_late = False
        for peer, line in self._lines.items():
            if peer < self._ledger.me:
                self._send_names(peer, line)

    def _set_graft_timer(self, at: Instant) -> None:
        due_s = self._awaited.next_due_s()
        if due_s is not None and (self._graft_at_s is None or due_s < self._graft_at_s):
            self._graft_at_s = max(at.now_s, due_s)
            self.outbox.append(SetTimer(name=(self.timer, "graft"), at_s=self._graft_at_s))

    def _send(self, peer: PeerId, frame: Frame) -> None:
        self.outbox.append(SendFrame(peer=peer, payload=encode(frame)))
