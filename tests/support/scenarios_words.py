"""What happens in a scenario as lines: frames by who sends them to whom, all else by where it happens.

    ann -> bob: Have …        over a direct link          ann => lobby: Push …      on ann's feed
    ann -> door of bob: …     knocking                    bob -> caller ann: …      the door's answer
    bob: Deliver …            an effect: bob wants this   bob hears DirectClosed …  a fact: bob is told this

A frame is shown when it leaves. Fields that change from run to run, or say nothing here, are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from zmqchat.history.batch import BatchHeader, peek
from zmqchat.model.addresses import Endpoint
from zmqchat.model.faults import Fault
from zmqchat.model.ids import PeerId
from zmqchat.protocol.data_effects import LogDenied, OwnFailed, OwnLogDrawn, OwnStored
from zmqchat.protocol.effects import (
    AnswerDoor,
    Deliver,
    DialDoor,
    Effect,
    PublishFeed,
    PutArrival,
    PutFrontier,
    Send,
    SendDoor,
    SetTimer,
    Store,
    Write,
)
from zmqchat.protocol.facts import DoorAnswered, DoorKnocked, Fact, FeedReceived, FrameReceived
from zmqchat.sim.describe import Describer, frame_of
from zmqchat.sim.world import World
from zmqchat.wire.frames import LogState, Page, PeerEntry, RoomHash
from zmqchat.wire.gap_frames import Gapped, link_name
from zmqchat.wire.overlay_frames import Contact
from zmqchat.wire.roster_frames import (
    DEAD,
    PREFIX_BYTES,
    SUSPECT,
    Liveness,
    Records,
    RosterDigest,
    unpack_digest,
    unpack_record,
)
from zmqchat.wire.tree_frames import Holder

_LEFT_OUT: Final = frozenset({
    "dial", "endpoints", "exchange", "features", "full", "generation", "hashes", "hello_instance", "id", "mesh",
    "observed", "outbound", "ports", "previous", "sealed_at", "size_bytes", "token", "wall_ms",
})  # fmt: skip
_KEPT_ELSEWHERE: Final = {"StoreFailed": {"full"}, "OwnFailed": {"full"}}
_USUAL: Final = frozenset({"newest_first=False", "reply=False", "failed=False", "final=True", "bytes_max=262144"})
BATCHES_SHOWN_MAX: Final = 3
"""Of a page with more only the first number and the last are shown."""
_STATES: Final = {SUSPECT: "suspect", DEAD: "dead"}
_TOLD_ELSEWHERE: Final = (DoorAnswered, DoorKnocked, FeedReceived, FrameReceived, SetTimer)


def event_name(what: Fact | Effect) -> str:
    """The name by which `show` wants it: its frame's, where it carries one."""
    frame = frame_of(what)
    return type(what if frame is None else frame).__name__


class Words(Describer):
    """The describer of the simulator with names instead of numbers, for people who know the nodes by name.

    strangers   names of peer ids that are no nodes
    """

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._nodes = world
        self.strangers: dict[bytes, str] = {}
        self._me = PeerId(bytes(32))

    def peer(self, peer: bytes) -> str:
        """A node's name, a stranger's, or the id's beginning."""
        number = self._nodes.number_of(peer)  # type: ignore[arg-type]  # an id of nobody is asked for too
        if number is not None:
            return self._nodes.nodes[number].name
        return self.strangers.get(peer) or super().peer(peer)

    def find_log(self, name: str) -> tuple[bytes, int]:
        """The author and number of the log that goes by this name."""
        return next(key for key, known in self._logs.items() if known == name)

    def traced(self, node: str, what: Fact | Effect) -> str | None:
        """A line, or None for what is told by another line: a frame that arrives, a timer that is set."""
        if isinstance(what, _TOLD_ELSEWHERE):
            return None
        self._me = next(each.peer for each in self._nodes.nodes if each.name == node)
        frame = frame_of(what)
        if frame is None:
            verb = " hears" if isinstance(what, Fact) else ":"
            return " ".join([f"{node}{verb}", type(what).__name__, *self._said(what)])
        return " ".join([f"{node} {self._way(what)}:", type(frame).__name__, *self._said(frame)])

    def _way(self, what: Fact | Effect) -> str:
        if isinstance(what, PublishFeed):
            return f"=> {self._value(what.room)}"
        if isinstance(what, DialDoor):
            return f"-> door of {self._value(what.endpoint)}"
        if isinstance(what, AnswerDoor):
            return f"-> caller {self.peer(what.caller.curve_key)}"
        if isinstance(what, SendDoor):
            return "-> door"
        assert isinstance(what, Send)
        return f"-> {self.peer(what.peer)}"

    def _said(self, value: object) -> Iterator[str]:
        """What matters of it, in words of its own for those that have some."""
        if isinstance(value, Store):
            yield ", ".join(self._written(value.writes))
        elif isinstance(value, Deliver):
            row = value.arrival
            what = f"gap {self._value(row.key)}[{row.first},{row.end})" if value.raw is None else self.batch(value.raw)
            yield f"{row.number}: {what}" + (" (backfill)" if row.backfill else "")
        elif isinstance(value, Records):
            records = map(unpack_record, value.records)
            yield "of " + " ".join("nobody" if isinstance(each, Fault) else self.peer(each.peer) for each in records)
        elif isinstance(value, Page) and len(value.batches) > BATCHES_SHOWN_MAX:
            headers = [peek(raw) for raw in (value.batches[0], value.batches[-1])]
            first, last = [header for header in headers if isinstance(header, BatchHeader)]
            count = len(value.batches)
            yield f"request={value.request} {count} batches of {self.log(first.author, first.log)}"
            yield f"[{first.first},{last.end}) done={value.done}"
        elif isinstance(value, Liveness):
            yield ", ".join(f"{self.peer(each.peer)} {_STATES[each.state]}" for each in value.entries)
        elif isinstance(value, Gapped):
            linked = [node.name for node in self._nodes.nodes if link_name(node.peer) in value.links]
            yield "linked to " + " ".join(linked) if value.on else "no more"
        elif isinstance(value, RosterDigest):
            prefixes = [entry.prefix for entry in unpack_digest(value.entries)]
            known = [node for node in self._nodes.nodes if node.peer[:PREFIX_BYTES] in prefixes]
            yield "of " + (" ".join(node.name for node in known) or "nobody") + (" reply=True" if value.reply else "")
        elif isinstance(value, OwnStored | OwnFailed | OwnLogDrawn | LogDenied):
            yield from (part for part in self._fields(value) if part.partition("=")[0] not in {"log", "first", "end"})
            yield self.log(self._me, value.log)
            if isinstance(value, OwnStored | OwnFailed):
                yield f"[{value.first},{value.end})"
        else:
            yield from self._fields(value)

    def _written(self, writes: Sequence[Write]) -> Iterator[str]:
        for write in writes:
            if isinstance(write, PutArrival):
                gap = "" if write.batch_end else f" gap {self._value(write.key)}[{write.first},{write.end})"
                yield f"arrival {write.number}{gap}"
            elif not isinstance(write, PutFrontier):
                yield self._value(write)

    def _fields(self, value: object) -> Iterator[str]:
        kept = _KEPT_ELSEWHERE.get(type(value).__name__, set())
        for part in self._parts(value):
            name = part.partition("=")[0]
            if name in kept or (name not in _LEFT_OUT and part not in _USUAL):
                yield part

    def _value(self, value: Any) -> str:
        if isinstance(value, Endpoint):
            number, _detail = self._nodes.network.conditions.find(0, value.host)
            return value.host if number is None else self._nodes.nodes[number].name
        if isinstance(value, LogState):
            ranges = "".join(f"[{each.first},{each.end})" for each in value.ranges)
            return f"{self.log(value.author, value.log, value.branch)}{ranges}"
        if isinstance(value, Contact):
            return self.peer(value.peer)
        if isinstance(value, RoomHash):
            return self._value(value.room)
        if isinstance(value, Holder):
            return f"{self.peer(value.peer)}<{value.end}"
        if isinstance(value, PeerEntry):
            return self.peer(value.peer) + ("" if value.linked else "?")
        if isinstance(value, tuple) and hasattr(value, "_fields") and not _has_own_words(value):
            return "(" + " ".join(f"{name}={self._value(inner)}" for name, inner in _named(value)) + ")"
        if isinstance(value, float):
            return f"{value:.3g}"
        return super()._value(value)


def _has_own_words(value: Any) -> bool:
    """Whether the describer has a shape of its own for it."""
    return type(value).__name__ in {"LogKey", "HaveEntry"}


def _named(value: Any) -> Iterator[tuple[str, Any]]:
    for name, inner in zip(value._fields, value, strict=True):
        if name not in _LEFT_OUT | {"hash", "head"} and inner not in (b"", bytes(16)):
            yield name, inner


def when(seconds: float) -> str:
    """A time as people say it, rounded: milliseconds below a second, then three digits."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f}ms"
    return f"{seconds:.2f}s" if seconds < 9.995 else f"{seconds:.1f}s"
