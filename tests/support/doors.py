"""Admission alone, as caller and as answerer: knocks and answers made by hand, and what comes out."""

from __future__ import annotations

from dataclasses import replace

from tests.support.fakelink import peer_of
from tests.support.linkpair import curve_key
from zmqchat.crypto.twin import TwinCrypto
from zmqchat.model.addresses import Endpoint
from zmqchat.model.config import Config
from zmqchat.model.ids import PeerId, mesh_id
from zmqchat.protocol.admission import (
    REFUSED_LABEL,
    WELCOME_LABEL,
    Admission,
    Self,
)
from zmqchat.protocol.effects import Admit, AnswerDoor, CloseDoor, DialDoor
from zmqchat.protocol.facts import (
    DoorCaller,
    DoorKnocked,
    Fact,
    Instant,
    NodeStarted,
)
from zmqchat.protocol.machine import (
    DialEnded,
    DialWanted,
    Welcomed,
)
from zmqchat.wire.frames import Frame, Hello, Refused, Welcome, decode, encode, signed_part

ANN, BOB, EVE = peer_of("ann"), peer_of("bob"), peer_of("eve")
PLACE = Endpoint("10.0.0.2", 42100)
FULL_PLACE = Endpoint("10.0.0.2", 42100, 42101, 42102)
MESH = mesh_id("test")
NOW = Instant(100.0, 1_700_000_000_000)
MINE, THEIRS, LATER = b"m" * 16, b"t" * 16, b"l" * 16


def machine(**changes: object) -> Admission:
    """The admission of ann, started."""
    me = Self(peer=ANN, mesh=MESH, instance=MINE, store=bytes(16), generation=1, curve_key=curve_key)
    made = Admission(replace(me, **changes), TwinCrypto(ANN), Config())  # type: ignore[arg-type]  # any field of Self
    feed(made, NodeStarted(endpoints=(Endpoint("10.0.0.1", 42100, 42101, 42102),), ports=(42100, 42101, 42102)))
    return made


def feed(made: Admission, fact: Fact, at: Instant = NOW) -> list[object]:
    """Give the machine a fact; its answer."""
    made.facts[type(fact)](fact, at)
    out: list[object] = [*made.outbox]
    made.outbox = []
    return out


def hello(peer: PeerId = BOB, instance: bytes = THEIRS, **changes: object) -> Hello:
    """A HELLO of bob."""
    made = Hello(
        versions=(1,),
        features=(),
        peer=peer,
        mesh=MESH,
        instance=instance,
        store=bytes(16),
        generation=1,
        endpoints=(FULL_PLACE,),
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # any field of Hello


def knock(
    made: Admission, frame: Frame | bytes, *, key: bytes | None = None, at: Instant = NOW, routing: bytes = b"route"
) -> list[object]:
    """Someone knocks with this frame, its connection's key that of its peer id unless said otherwise."""
    payload = frame if isinstance(frame, bytes) else encode(frame)
    proven = key if key is not None else frame.peer if isinstance(frame, Hello) else BOB
    return feed(made, DoorKnocked(caller=DoorCaller(routing, proven, "10.0.0.2"), payload=payload), at)


def answers(out: list[object]) -> list[Welcome | Refused]:
    """The frames that were sent to whoever knocked."""
    found = [decode(effect.payload) for effect in out if isinstance(effect, AnswerDoor)]
    assert all(isinstance(frame, (Welcome, Refused)) for frame in found)
    return [frame for frame in found if isinstance(frame, (Welcome, Refused))]


def refusal(out: list[object], caller: PeerId = BOB) -> str:
    """The reason of the one REFUSED that was sent, signed for the caller, which begins no session."""
    [frame] = answers(out)
    assert isinstance(frame, Refused)
    assert not [effect for effect in out if isinstance(effect, (Admit, Welcomed))]
    assert TwinCrypto(EVE).verify(ANN, REFUSED_LABEL, caller + signed_part(frame), frame.signature)
    return frame.reason


def kinds(out: list[object]) -> list[type]:
    """The types of what came out, timers left out."""
    return [type(item) for item in out if type(item).__name__ != "SetTimer"]


def dial(made: Admission, expected: PeerId | None = None, place: Endpoint = PLACE) -> tuple[int, Hello]:
    """Have a door dialled; the number of the dial and the HELLO."""
    [effect] = [e for e in feed(made, DialWanted(endpoint=place, expected=expected)) if isinstance(e, DialDoor)]
    sent = decode(effect.payload)
    assert isinstance(sent, Hello)
    return effect.dial, sent


def welcome(to: Hello, peer: PeerId = BOB, instance: bytes = THEIRS, **changes: object) -> Welcome:
    """A signed WELCOME in answer to a HELLO."""
    made = Welcome(
        version=1,
        features=(),
        peer=peer,
        hello_instance=to.instance,
        instance=instance,
        store=bytes(16),
        generation=1,
        endpoints=(FULL_PLACE,),
        observed="10.0.0.1",
        signature=bytes(64),
    )
    made = replace(made, **changes)  # type: ignore[arg-type]  # any field of Welcome
    return replace(made, signature=TwinCrypto(peer).sign(WELCOME_LABEL, to.peer + signed_part(made)))


def refused(to: Hello, reason: str, peer: PeerId = BOB) -> Refused:
    """A signed REFUSED in answer to a HELLO."""
    made = Refused(
        reason=reason, detail="because", versions=(1,), peer=peer, hello_instance=to.instance, signature=bytes(64)
    )
    return replace(made, signature=TwinCrypto(peer).sign(REFUSED_LABEL, to.peer + signed_part(made)))


def ended(out: list[object]) -> DialEnded:
    """The one dial that ended, its door closed."""
    [fact] = [item for item in out if isinstance(item, DialEnded)]
    assert [item for item in out if isinstance(item, CloseDoor)]
    return fact
