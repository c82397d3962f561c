"""The mesh: routes depth first, decodes once, drops what no linked peer sent, and blames what does not decode."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

from tests.support.fakelink import peer_of
from tests.support.framesamples import SAMPLES
from tests.support.linkpair import LinkNet
from zmqchat.model.config import Config
from zmqchat.model.ids import RoomId
from zmqchat.protocol.effects import Effect, PeerCameOnline, Send
from zmqchat.protocol.facts import Fact, FeedReceived, FrameReceived, Instant, TimerFired, Woke
from zmqchat.protocol.machine import Machine, SendFrame
from zmqchat.protocol.mesh import Mesh
from zmqchat.protocol.peers import Peers
from zmqchat.protocol.presence import Presence
from zmqchat.wire.frames import Bye, Inquire, Link, Ping, Pong, decode, encode

BOB = peer_of("bob")
NOW = Instant(1.0, 1_700_000_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Fact):
    """A fact for the test's machines."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Done(Effect):
    """An effect of the test's machines."""

    name: str


class Tree(Machine):
    """Answers a step by an effect before, its two halves, and an effect after."""

    timer = "tree"

    def __init__(self, label: str = "", depth: int = 2) -> None:
        super().__init__()
        self._label = label
        self._depth = depth
        self.facts = {Step: self._step}

    def _step(self, fact: Step, _at: Instant) -> None:
        self.outbox.append(Done(name=f"{self._label}<{fact.name}"))
        if len(fact.name) < self._depth:
            self.outbox += [Step(name=fact.name + "0"), Step(name=fact.name + "1")]
        self.outbox.append(Done(name=f"{self._label}{fact.name}>"))


def mesh_of(*machines: Machine) -> Mesh:
    """A mesh of these machines beside peers and presence."""
    peers = Peers(BOB, bytes(16), Config(), Random(1), lambda: 0)
    return Mesh(machines, peers, Presence(Config()))


def names(made: Mesh) -> list[str]:
    """The names of the effects so far."""
    return [effect.name for effect in made.take_effects() if isinstance(effect, Done)]


def test_facts_are_followed_depth_first() -> None:
    """An effect keeps its place among the facts of its outbox, and all that follows from them."""
    made = mesh_of(Tree())
    made.handle(Step(name=""), NOW)
    assert names(made) == ["<", "<0", "<00", "00>", "<01", "01>", "0>", "<1", "<10", "10>", "<11", "11>", "1>", ">"]
    assert names(made) == []


def test_machines_hear_a_fact_in_their_order() -> None:
    """What the first one wants comes before what the second one wants."""
    made = mesh_of(Tree("a", depth=0), Tree("b", depth=0))
    made.handle(Step(name="x"), NOW)
    assert names(made) == ["a<x", "ax>", "b<x", "bx>"]


def test_orders_given_as_calls_are_settled() -> None:
    """What stands in an outbox without a fact goes out with all that follows."""
    tree = Tree(depth=1)
    made = mesh_of(tree)
    tree.outbox.append(Step(name=""))
    made.settle(NOW)
    assert names(made) == ["<", "<0", "0>", "<1", "1>", ">"]


def test_facts_that_nobody_hears_are_dropped() -> None:
    """A fact without a listener, and a timer without an owner, change nothing."""
    made = mesh_of(Tree())
    made.handle(Woke(slept_s=1.0), NOW)
    made.handle(TimerFired(name=("nobody",)), NOW)
    assert made.take_effects() == []


class Owner(Machine):
    """Counts its timers."""

    timer = "owner"

    def __init__(self, timer: str = "owner", frames: dict[type[Any], Any] | None = None) -> None:
        super().__init__()
        self.timer = timer
        self.fired: list[TimerFired] = []
        self.facts = {TimerFired: lambda fact, _at: self.fired.append(fact)}
        self.frames = frames or {}


def test_a_timer_reaches_its_owner_alone() -> None:
    """The first element of its name says whose it is."""
    one, other = Owner("one"), Owner("other")
    made = mesh_of(one, other)
    made.handle(TimerFired(name=("one", 7)), NOW)
    assert len(one.fired) == 1
    assert not other.fired


def test_names_and_frames_have_one_owner() -> None:
    """Two machines for one timer or one frame are a mistake of ours, found at start."""
    with pytest.raises(AssertionError):
        mesh_of(Owner("one"), Owner("one"))
    with pytest.raises(AssertionError):
        mesh_of(Owner("one", {Ping: print}), Owner("two", {Ping: print}))


# With links ------------------------------------------------------------------------------------------------


def test_frames_of_unlinked_peers_are_dropped_unread() -> None:
    """Only LINK and LINKED count before there is a link; nothing else is decoded, answered or blamed."""
    net = LinkNet()
    ann, bob = net.node("ann"), net.node("bob")
    net.silenced = lambda _sender, _receiver: True
    bob.sight(ann)
    net.run(0.1)
    assert bob.peer in ann.peers.links
    for payload in (encode(Ping(token=1, wall_ms=1)), encode(Bye(reason="x")), b"\x12\xc1", b"", b"\xff"):
        net.deliver(bob, ann, payload)
    assert not [effect for effect in ann.did(Send) if effect.peer == bob.peer]
    assert bob.peer in ann.peers.links
    assert ann.mesh.unknown_frames == 0
    assert ("last fault", "") not in ann.peers.describe(bob.peer, ann.instant())
    assert "last fault" not in dict(ann.peers.describe(bob.peer, ann.instant()))
    net.deliver(bob, ann, encode(Link(instance=bob.instance)))
    assert ann.is_linked(bob)


def test_frames_after_the_session_are_dropped() -> None:
    """What still arrives after BYE is nobody's."""
    net = LinkNet()
    ann, bob = net.pair()
    net.deliver(bob, ann, encode(Bye(reason="stop")))
    before = len(ann.sent)
    net.deliver(bob, ann, encode(Inquire(token=1)))
    net.deliver(bob, ann, encode(Link(instance=bob.instance)))
    assert len(ann.sent) == before
    assert not ann.is_linked(bob)


def test_unknown_frames_are_counted_and_skipped() -> None:
    """A frame of a later version costs nothing, and goes on being skipped."""
    net = LinkNet()
    ann, bob = net.pair()
    for _ in range(100):
        net.deliver(bob, ann, b"\xc8made up")
    assert ann.mesh.unknown_frames == 100
    assert ann.is_linked(bob)


def test_frames_that_nobody_takes_are_ignored() -> None:
    """A HELLO over a link is decoded, and means nothing there."""
    net = LinkNet()
    ann, bob = net.pair()
    hello = SAMPLES["hello"]
    net.deliver(bob, ann, encode(hello))
    assert ann.is_linked(bob)


@pytest.mark.parametrize("payload", [b"", b"\x12", b"\x12\xc1", b"\x15\x80", b"\x12" + bytes(300)])
def test_what_does_not_decode_is_blamed(payload: bytes) -> None:
    """Each such frame costs its sender; the fifth ends the link."""
    net = LinkNet()
    ann, bob = net.pair()
    for _ in range(4):
        net.deliver(bob, ann, payload)
    assert ann.is_linked(bob)
    net.deliver(bob, ann, payload)
    assert not ann.is_linked(bob)


def test_any_frame_and_any_feed_is_a_sign_of_life() -> None:
    """Frames of linked peers and their feeds are heard; a feed of anybody else is not."""
    net = LinkNet()
    ann, bob = net.pair()
    for fact in (
        FrameReceived(peer=bob.peer, payload=b"\xc8", inbound=True),
        FeedReceived(peer=bob.peer, room=RoomId(bytes(16)), payload=b"x"),
    ):
        net.now_s += 1.0
        ann.handle(fact)
        assert ann.presence.heard_s(bob.peer) == net.now_s
    ann.handle(FeedReceived(peer=peer_of("carol"), room=RoomId(bytes(16)), payload=b"x"))
    assert ann.presence.heard_s(peer_of("carol")) is None


def test_a_ping_over_the_rate_is_not_decoded() -> None:
    """Even one that would be a fault is dropped before anybody looks at it."""
    net = LinkNet()
    ann, bob = net.pair()
    net.run(5)
    for number in range(20):
        net.deliver(bob, ann, encode(Ping(token=number, wall_ms=1)))
    for _ in range(20):
        net.deliver(bob, ann, b"\x12\xc1")
    assert ann.is_linked(bob)
    pongs = [frame for peer, frame in ann.sent if peer == bob.peer and isinstance(frame, Pong)]
    assert len(pongs) <= 3 + 10


def test_what_a_machine_wants_of_others_reaches_the_link() -> None:
    """SendFrame of one machine becomes Send by peers."""
    net = LinkNet()
    ann, bob = net.pair()
    ann.handle(SendFrame(peer=bob.peer, payload=encode(Inquire(token=5))))
    assert decode(ann.did(Send)[-1].payload) == Inquire(token=5)
    assert ann.of(PeerCameOnline) == [PeerCameOnline(peer=bob.peer)]
    assert not [effect for effect in ann.told if isinstance(effect, Fact)], "a fact never leaves the mesh"
