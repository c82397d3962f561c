"""Which linked peer is in which room."""

from __future__ import annotations

from tests.support.authors import Stranger
from tests.support.fakelink import FakeNet, lobby
from zmqchat.protocol.machine import PeerUnlinked
from zmqchat.wire.frames import Interest


def test_rooms_of_peers_follow_what_they_say() -> None:
    """What a peer says replaces what it said before, and goes with its link."""
    net = FakeNet()
    ann = net.node("ann")
    ann.join()
    ann.join("other")
    net.run(0.1)
    interests = ann.data.interests
    eve, bob = Stranger(net, ann, "eve", rooms=()), Stranger(net, ann, "bob")
    assert interests.linked() == sorted((eve.peer, bob.peer))
    assert interests.peers_in(lobby()) == (bob.peer,)
    assert interests.peers_in(lobby()) is interests.peers_in(lobby())
    eve.send(Interest(rooms=(lobby("other"), lobby("third"))))
    assert interests.shared_with(eve.peer) == [lobby("other")]
    assert interests.rooms_of(eve.peer) == {lobby("other"), lobby("third")}
    eve.send(Interest(rooms=(lobby(),)))
    assert interests.peers_in(lobby()) == tuple(sorted((eve.peer, bob.peer)))
    assert interests.store_of(eve.peer) == (b"eve".ljust(16, b"-"), 1)
    ann.handle(PeerUnlinked(peer=eve.peer, reason="bye"))
    assert interests.peers_in(lobby()) == (bob.peer,) and not interests.is_linked(eve.peer)
    assert interests.rooms_of(eve.peer) == frozenset()
