"""The contract of Transport, over the real one and its in-memory twin."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest

from tests.support.transports import World, a_world, link, quiet, subscribe
from zmqchat.model.addresses import Endpoint
from zmqchat.model.errors import PortInUse
from zmqchat.model.ids import RoomId
from zmqchat.model.limits import DOOR_FRAME_BYTES_MAX, FRAME_BYTES_MAX
from zmqchat.net.transport import Ports
from zmqchat.protocol.effects import (
    Admit,
    AnswerDoor,
    CloseDirect,
    CloseDoor,
    DialDoor,
    Expel,
    OpenDirect,
    OpenFeed,
    PublishFeed,
    Send,
    SendDoor,
    SetTopics,
)
from zmqchat.protocol.facts import (
    DialFailed,
    DirectClosed,
    DirectOpened,
    DoorAnswered,
    DoorKnocked,
    FeedClosed,
    FeedReceived,
    FrameReceived,
    InboundClosed,
    PeerSubscribed,
)

ROOM = RoomId(b"r" * 16)
OTHER_ROOM = RoomId(b"s" * 16)


@pytest.fixture(params=["zmq", "memory"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """Nodes of one kind."""
    async with a_world(request.param) as made:
        yield made


async def test_door_carries_a_knock_and_its_answers(world: World) -> None:
    """A stranger's HELLO arrives with his key, and each side's further frames reach the other."""
    ann, bob = await world.start(), await world.start()
    ann.apply(DialDoor(dial=7, endpoint=bob.endpoint, payload=b"hello"))
    knock = await bob.get(DoorKnocked)
    assert (knock.payload, knock.caller.curve_key, knock.caller.address) == (b"hello", ann.public, "127.0.0.1")
    bob.apply(AnswerDoor(caller=knock.caller, payload=b"challenge"))
    assert await ann.get(DoorAnswered) == DoorAnswered(dial=7, payload=b"challenge")
    ann.apply(SendDoor(dial=7, payload=b"proof"))
    assert (await bob.get(DoorKnocked, 2)).payload == b"proof"
    ann.apply(CloseDoor(dial=7), CloseDoor(dial=99))
    assert not ann.of(DialFailed)


async def test_door_knows_host_names(world: World) -> None:
    """A name is looked up before it is dialled."""
    ann, bob = await world.start(), await world.start()
    ann.apply(DialDoor(dial=1, endpoint=Endpoint("localhost", bob.ports.door), payload=b"hello"))
    assert (await bob.get(DoorKnocked)).payload == b"hello"


@pytest.mark.parametrize(("host", "reason"), [("127.0.0.1", "refused"), ("no-such-host.invalid", "no such name")])
async def test_unreachable_door_is_told(world: World, host: str, reason: str) -> None:
    """A dial that can't work ends in one DialFailed with its reason."""
    ann = await world.start()
    ann.apply(DialDoor(dial=3, endpoint=Endpoint(host, 1), payload=b"hello"))
    assert await ann.get(DialFailed) == DialFailed(dial=3, reason=reason)
    await quiet(ann)
    assert len(ann.facts) == 1


async def test_frames_go_both_ways_over_one_link(world: World) -> None:
    """The dialler's frames are inbound at the other, the answers are not, and order is kept."""
    ann, bob = await world.start(), await world.start()
    await link(ann, bob)
    for number in range(100):
        ann.apply(Send(peer=bob.peer, payload=b"%d" % number, outbound=True))
    await bob.get(FrameReceived, 100)
    assert bob.of(FrameReceived) == [
        FrameReceived(peer=ann.peer, payload=b"%d" % number, inbound=True) for number in range(100)
    ]
    bob.apply(Send(peer=ann.peer, payload=b"back", outbound=False))
    assert await ann.get(FrameReceived) == FrameReceived(peer=bob.peer, payload=b"back", inbound=False)


async def test_two_links_of_a_pair_are_told_apart(world: World) -> None:
    """Where both dialled, `outbound` chooses the link."""
    ann, bob = await world.start(), await world.start()
    await link(ann, bob)
    await link(bob, ann)
    ann.apply(Send(peer=bob.peer, payload=b"mine", outbound=True))
    assert (await bob.get(FrameReceived)).inbound
    bob.apply(Send(peer=ann.peer, payload=b"yours", outbound=True))
    assert (await ann.get(FrameReceived)).inbound
    ann.apply(Send(peer=bob.peer, payload=b"over yours", outbound=False))
    assert await bob.get(FrameReceived, 2) == FrameReceived(peer=ann.peer, payload=b"over yours", inbound=False)


async def test_stranger_is_denied_and_gets_in_by_a_fresh_dial_once_admitted(world: World) -> None:
    """ZAP's denial is told; a redial after Admit works."""
    ann, bob = await world.start(), await world.start()
    ann.apply(OpenDirect(peer=bob.peer, endpoint=bob.endpoint), OpenFeed(peer=bob.peer, endpoint=bob.endpoint))
    assert await ann.get(DirectClosed) == DirectClosed(peer=bob.peer, reason="denied")
    assert await ann.get(FeedClosed) == FeedClosed(peer=bob.peer, reason="denied")
    ann.apply(Send(peer=bob.peer, payload=b"nobody hears", outbound=True))
    await link(ann, bob)
    ann.apply(Send(peer=bob.peer, payload=b"in", outbound=True))
    assert (await bob.get(FrameReceived)).payload == b"in"
    assert len(bob.of(FrameReceived)) == 1


async def test_wrong_peer_behind_an_address_is_not_linked(world: World) -> None:
    """Whoever dials a peer's id at another's address gets no link."""
    ann, bob, eve = await world.start(), await world.start(), await world.start()
    eve.apply(Admit(peer=ann.peer))
    ann.apply(OpenDirect(peer=bob.peer, endpoint=eve.endpoint))
    assert (await ann.get(DirectClosed)).reason == "refused"
    assert not ann.of(DirectOpened)


async def test_peer_without_a_key_is_not_dialled(world: World) -> None:
    """An id that is no point of the curve ends as denied, without a dial."""
    ann, bob = await world.start(), await world.start()
    del world.keys[bob.peer]
    ann.apply(OpenDirect(peer=bob.peer, endpoint=bob.endpoint), OpenFeed(peer=bob.peer, endpoint=bob.endpoint))
    assert (await ann.get(DirectClosed)).reason == "denied"
    assert (await ann.get(FeedClosed)).reason == "denied"
    assert ann.transport.stats().dials == 0


async def test_nobody_listens_is_refused(world: World) -> None:
    """A port without a listener is told as refused."""
    ann, bob = await world.start(), await world.start()
    nowhere = Endpoint("127.0.0.1", 1, 1, 1)
    ann.apply(OpenDirect(peer=bob.peer, endpoint=nowhere), OpenFeed(peer=bob.peer, endpoint=nowhere))
    assert (await ann.get(DirectClosed)).reason == "refused"
    assert (await ann.get(FeedClosed)).reason == "refused"


async def test_feed_reaches_subscribers_of_the_room_only(world: World) -> None:
    """Who is in another room gets nothing, whoever subscribed gets it once, attributed to the publisher."""
    ann, bob, eve = await world.start(), await world.start(), await world.start()
    await subscribe(bob, ann, ROOM)
    await subscribe(eve, ann, OTHER_ROOM)
    ann.apply(PublishFeed(room=ROOM, payload=b"live"))
    assert await bob.get(FeedReceived) == FeedReceived(peer=ann.peer, room=ROOM, payload=b"live")
    await quiet(eve)
    assert not eve.of(FeedReceived)
    assert len(bob.of(FeedReceived)) == 1


async def test_topics_follow_the_rooms(world: World) -> None:
    """SetTopics adds and drops on feeds that are open; the publisher is told of both."""
    ann, bob = await world.start(), await world.start()
    await subscribe(bob, ann, ROOM)
    bob.apply(SetTopics(rooms=frozenset({OTHER_ROOM})))
    await ann.until(lambda: len(ann.of(PeerSubscribed)) >= 3)
    assert set(ann.of(PeerSubscribed)) == {
        PeerSubscribed(peer=bob.peer, room=ROOM, on=True),
        PeerSubscribed(peer=bob.peer, room=ROOM, on=False),
        PeerSubscribed(peer=bob.peer, room=OTHER_ROOM, on=True),
    }
    ann.apply(PublishFeed(room=ROOM, payload=b"old"), PublishFeed(room=OTHER_ROOM, payload=b"new"))
    assert (await bob.get(FeedReceived)).payload == b"new"


async def test_closed_feed_is_told_as_unsubscribed(world: World) -> None:
    """When a subscriber goes away the publisher knows that it must push."""
    ann, bob = await world.start(), await world.start()
    await subscribe(bob, ann, ROOM)
    await bob.transport.stop(0)
    await ann.until(lambda: PeerSubscribed(peer=bob.peer, room=ROOM, on=False) in ann.facts)


async def test_redialled_feed_stays_subscribed(world: World) -> None:
    """A fresh SUB in place of the old one leaves the peer subscribed."""
    ann, bob = await world.start(), await world.start()
    await subscribe(bob, ann, ROOM)
    await subscribe(bob, ann, ROOM)
    await quiet(ann)
    ann.apply(PublishFeed(room=ROOM, payload=b"live"))
    assert (await bob.get(FeedReceived)).payload == b"live"
    await quiet(bob)
    assert len(bob.of(FeedReceived)) == 1


async def test_expel_cuts_live_connections_both_ways(world: World) -> None:
    """The expelled hears that its links are lost, can't get in again, and nothing of it is heard."""
    ann, bob = await world.start(), await world.start()
    await link(bob, ann)
    bob.apply(Send(peer=ann.peer, payload=b"before", outbound=True))
    await ann.get(FrameReceived)
    await subscribe(bob, ann, ROOM)
    await link(ann, bob)
    ann.forget()
    ann.apply(Expel(peer=bob.peer, reason="fault"))
    assert (await bob.get(DirectClosed)).reason == "lost"
    assert (await bob.get(FeedClosed)).reason == "lost"
    bob.apply(OpenDirect(peer=ann.peer, endpoint=ann.endpoint))
    assert (await bob.get(DirectClosed, 2)).reason == "denied"
    ann.apply(PublishFeed(room=ROOM, payload=b"not for you"), Expel(peer=bob.peer, reason="again"))
    await quiet(ann)
    assert not ann.of(FrameReceived)
    assert not bob.of(FeedReceived)
    assert ann.transport.stats().sessions == 0


async def test_peer_that_stops_is_told_on_both_links(world: World) -> None:
    """DirectClosed(lost) for our link to it, InboundClosed for its link to us, its last frames first."""
    ann, bob = await world.start(), await world.start()
    await link(ann, bob)
    await link(bob, ann)
    bob.apply(Send(peer=ann.peer, payload=b"hello", outbound=True))
    await ann.get(FrameReceived)
    bob.apply(Send(peer=ann.peer, payload=b"bye", outbound=True))
    await bob.transport.stop(0.5)
    assert (await ann.get(DirectClosed)).reason == "lost"
    await ann.get(InboundClosed)
    assert [fact.payload for fact in ann.of(FrameReceived)] == [b"hello", b"bye"]
    assert isinstance(ann.facts.index(InboundClosed(peer=bob.peer)), int)
    before = ann.facts[: ann.facts.index(InboundClosed(peer=bob.peer))]
    assert FrameReceived(peer=bob.peer, payload=b"bye", inbound=True) in before


async def test_our_own_close_is_not_told_to_us(world: World) -> None:
    """CloseDirect ends our link; the other side hears InboundClosed, we hear nothing."""
    ann, bob = await world.start(), await world.start()
    await link(ann, bob)
    ann.apply(Send(peer=bob.peer, payload=b"hello", outbound=True))
    await bob.get(FrameReceived)
    ann.apply(CloseDirect(peer=bob.peer))
    assert await bob.get(InboundClosed) == InboundClosed(peer=ann.peer)
    assert not ann.of(DirectClosed)


async def test_redial_replaces_the_link(world: World) -> None:
    """A second OpenDirect is a fresh connection over which frames go both ways."""
    ann, bob = await world.start(), await world.start()
    await link(ann, bob)
    ann.apply(Send(peer=bob.peer, payload=b"old", outbound=True))
    await bob.get(FrameReceived)
    await link(ann, bob)
    ann.apply(Send(peer=bob.peer, payload=b"new", outbound=True))
    await bob.get(FrameReceived, 2)
    bob.apply(Send(peer=ann.peer, payload=b"answer", outbound=False))
    assert (await ann.get(FrameReceived)).payload == b"answer"
    assert not ann.of(DirectClosed)


async def test_largest_payloads_arrive_and_larger_ones_are_not_sent(world: World) -> None:
    """Each service carries its limit; one byte more is counted and dropped, and the link lives on."""
    ann, bob = await world.start(), await world.start()
    door, frame = os.urandom(DOOR_FRAME_BYTES_MAX), os.urandom(FRAME_BYTES_MAX)
    ann.apply(DialDoor(dial=1, endpoint=bob.endpoint, payload=door))
    knock = await bob.get(DoorKnocked)
    bob.apply(AnswerDoor(caller=knock.caller, payload=door + b"1"), AnswerDoor(caller=knock.caller, payload=door))
    assert knock.payload == (await ann.get(DoorAnswered)).payload == door
    await link(ann, bob)
    for payload in (frame + b"1", frame):
        ann.apply(Send(peer=bob.peer, payload=payload, outbound=True))
    assert (await bob.get(FrameReceived)).payload == frame
    for payload in (frame + b"1", frame):
        bob.apply(Send(peer=ann.peer, payload=payload, outbound=False))
    assert (await ann.get(FrameReceived)).payload == frame
    await subscribe(ann, bob, ROOM)
    for payload in (frame + b"1", frame):
        bob.apply(PublishFeed(room=ROOM, payload=payload))
    assert (await ann.get(FeedReceived)).payload == frame
    assert ann.transport.stats().counters["oversize_not_sent"] == 1
    assert bob.transport.stats().counters["oversize_not_sent"] == 3
    assert not ann.of(DirectClosed)


async def test_nothing_is_told_within_apply(world: World) -> None:
    """A fact that an effect causes comes after `apply` has returned."""
    ann, bob = await world.start(), await world.start()
    del world.keys[bob.peer]
    ann.apply(OpenDirect(peer=bob.peer, endpoint=bob.endpoint))
    assert not ann.facts
    await ann.get(DirectClosed)


async def test_ports_asked_for_are_had_or_refused(world: World) -> None:
    """PORT of --listen is a must, and the ports of the last start are had again when free."""
    first, second, third = world.make(), world.make(), world.make()
    await first.start()
    with pytest.raises(PortInUse):
        await second.start(("127.0.0.1", first.ports.door))
    ports = first.ports
    await first.transport.stop(0)
    await third.start(preferred=ports)
    assert third.ports == ports


async def test_taken_preferred_ports_give_way(world: World) -> None:
    """Without --listen a taken port is replaced by another."""
    first, second = await world.start(), world.make()
    await second.start(preferred=first.ports)
    assert not set(second.ports) & set(first.ports)
    assert isinstance(second.ports, Ports)


async def test_stopping_twice_and_effects_after_it_are_harmless(world: World) -> None:
    """After stop nothing is told and nothing happens."""
    ann, bob = await world.start(), await world.start()
    await link(ann, bob)
    await ann.transport.stop(0)
    ann.forget()
    await ann.transport.stop(0)
    ann.apply(Send(peer=bob.peer, payload=b"late", outbound=True), Expel(peer=bob.peer, reason="stop"))
    await quiet(ann)
    assert not ann.facts
