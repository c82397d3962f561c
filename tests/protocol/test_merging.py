"""Who holds what, over several hops: told towards the author, merged on the way, whatever relays do."""

from __future__ import annotations

import itertools

import pytest

from tests.support.authors import Stranger
from tests.support.fakelink import FakeNet, FakeNode, lobby, peer_of, quick
from zmqchat.model.ids import MAIN_BRANCH, PeerId
from zmqchat.model.limits import HOLDERS_PER_FRAME_MAX, HOLDERS_PER_LOG_MAX, HOLDERS_PER_S_MAX
from zmqchat.wire.frames import decode
from zmqchat.wire.tree_frames import Holder, Holders


@pytest.fixture
def net() -> FakeNet:
    """A partial mesh in which only the live path tells anything."""
    net = FakeNet(config=quick(sync_interval_s=10_000.0))
    net.partial = True
    return net


def chain(net: FakeNet, *names: str, outside: tuple[str, ...] = ()) -> list[FakeNode]:
    """Nodes in a row, all but those `outside` in the lobby, which know of each other."""
    nodes = [net.node(name) for name in names]
    for one, other in itertools.pairwise(nodes):
        net.link(one, other)
    net.run(1.0)
    # Linked first: between those outside nobody could fetch what was said before.
    for node in nodes:
        if node.name not in outside:
            node.join()
    net.run(0.1)
    for node in nodes:
        if node.name not in outside:
            node.say(f"{node.name} is here")
            net.run(1.5)
    return nodes


def holders_sent(node: FakeNode, start: int = 0) -> list[Holders]:
    """The frames of merged HAVEs that the node has sent."""
    frames = [decode(payload) for _peer, payload in node.sent[start:]]
    return [frame for frame in frames if isinstance(frame, Holders)]


def test_delivery_is_known_over_several_hops(net: FakeNet) -> None:
    """The author waits for all live members, linked or not, and hears of each through the relays."""
    ann, bob, cat, dan = chain(net, "ann", "bob", "cat", "dan")
    (said,) = ann.say("hello")
    everybody = tuple(sorted(node.peer for node in (bob, cat, dan)))
    net.run(0.02)
    state = ann.data.receipts.state(lobby(), said.log, said.number)
    assert state.pending and set(state.pending) | set(state.held) == set(everybody)
    net.run(1.0)
    state = ann.data.receipts.state(lobby(), said.log, said.number)
    assert state.held == state.delivered == everybody and not state.pending
    assert ann.data.receipts.delivered_below(lobby(), said.log, said.number, said.number + 1) == said.number + 1


def test_relays_that_are_not_in_the_room_pass_it_on(net: FakeNet) -> None:
    """A member tells a stranger to the room by HOLDERS, which relays it towards the author and holds nothing."""
    ann, bob, cat, dan = chain(net, "ann", "bob", "cat", "dan", outside=("bob", "cat"))
    (said,) = ann.say("hello")
    net.run(1.0)
    assert dan.texts()[-1] == "hello" and not bob.texts() and not cat.texts()
    assert ann.data.receipts.state(lobby(), said.log, said.number).held == (dan.peer,)
    (answer,) = dan.say("yes")
    net.run(1.0)
    assert dan.data.receipts.state(lobby(), answer.log, answer.number).held == (ann.peer,)


def test_a_relay_sends_one_frame_for_all_behind_it(net: FakeNet) -> None:
    """What arrives within the wait is merged; quiet follows."""
    names = [f"leaf{index}" for index in range(12)]
    ann, bob = chain(net, "ann", "bob")
    leaves = [net.node(name) for name in names]
    for leaf in leaves:
        leaf.join()
        net.link(bob, leaf)
    net.run(3.0)
    for leaf in leaves:
        leaf.say("here")
        net.run(0.5)
    net.run(2.0)
    start = len(bob.sent)
    (said,) = ann.say("hello")
    net.run(1.0)
    (frame,) = [frame for frame in holders_sent(bob, start) if frame.author == ann.peer]
    assert {holder.peer for holder in frame.holders} == {leaf.peer for leaf in leaves}
    assert len(ann.data.receipts.state(lobby(), said.log, said.number).held) == 13
    start = len(bob.sent)
    net.run(300.0)
    assert not holders_sent(bob, start)
    assert bob.data.merging.sizes()[0].kept == 0, "what was gathered is forgotten"


def test_a_stream_costs_few_frames(net: FakeNet) -> None:
    """However many batches there are, a relay tells what holds four times a second."""
    ann, bob, cat = chain(net, "ann", "bob", "cat")
    start = len(bob.sent)
    for index in range(200):
        ann.say(str(index))
        net.run(0.01)
    (said,) = ann.say("last")
    net.run(1.0)
    assert len(holders_sent(bob, start)) <= 12
    assert cat.peer in ann.data.receipts.state(lobby(), said.log, said.number).held


def test_another_way_is_told_again_when_a_relay_dies(net: FakeNet) -> None:
    """Two relays in parallel: what the dead one was told, and may not have passed on, goes by the other."""
    ann, bob, cat, dan, eve = (net.node(name) for name in ("ann", "bob", "cat", "dan", "eve"))
    for node in (ann, bob, cat, dan, eve):
        node.join()
    net.run(0.1)
    for one, other in ((ann, bob), (ann, cat), (bob, dan), (cat, dan), (dan, eve)):
        net.link(one, other)
    net.run(2.0)
    for node in (ann, bob, cat, dan, eve):
        node.say(node.name)
        net.run(1.5)
    (said,) = ann.say("hello")
    net.run(0.15)
    way = dan.data.broadcast.paths.towards(lobby(), ann.peer, said.log)
    assert way in (bob.peer, cat.peer)
    net.nodes[way].kill()
    net.run(3.0)
    held = ann.data.receipts.state(lobby(), said.log, said.number).held
    assert dan.peer in held and eve.peer in held


def test_more_holders_than_a_frame_names_come_one_frame_after_another(net: FakeNet) -> None:
    """Nobody is left out, and no frame is over its bound."""
    ann, bob = chain(net, "ann", "bob")
    eve = Stranger(net, bob)
    (said,) = ann.say("hello")
    net.run(0.1)
    known = [Holder(peer_of(f"holder {index}"), said.number + 1) for index in range(600)]
    for start in range(0, 600, HOLDERS_PER_FRAME_MAX):
        part = tuple(known[start : start + HOLDERS_PER_FRAME_MAX])
        eve.send(Holders(room=lobby(), author=ann.peer, log=said.log, branch=MAIN_BRANCH, holders=part))
    net.run(3.0)
    assert len(ann.data.receipts.state(lobby(), said.log, said.number).held) == 601


def test_made_up_holders_are_bounded_and_speak_for_no_linked_peer(net: FakeNet) -> None:
    """A liar fills its bound; who is linked to the author speaks for itself; no claim goes beyond what there is."""
    ann, bob = chain(net, "ann", "bob")
    cat = net.node("cat")
    cat.join()
    net.link(ann, cat)
    net.run(2.0)
    net.lose = lambda _a, b, _payload, _feed: b is cat
    (said,) = ann.say("hello")
    eve = Stranger(net, bob)

    def claim(node: Stranger, holder: PeerId, end: int) -> None:
        node.send(
            Holders(room=lobby(), author=ann.peer, log=said.log, branch=MAIN_BRANCH, holders=(Holder(holder, end),))
        )

    claim(eve, cat.peer, said.number + 1)
    claim(eve, peer_of("far"), said.number + 1_000)
    claim(eve, PeerId(b"\xff" * 32), said.number + 1)
    claim(eve, ann.peer, said.number + 1)
    for index in range(HOLDERS_PER_LOG_MAX + 50):
        claim(eve, peer_of(f"made up {index}"), 1)
    net.run(0.4)
    state = ann.data.receipts.state(lobby(), said.log, said.number)
    assert cat.peer not in state.held and ann.peer not in state.held and PeerId(b"\xff" * 32) not in state.held
    assert peer_of("far") not in state.held, "it claims more than there is"
    for node in (ann, bob):
        for size in node.data.merging.sizes():
            assert size.kept <= size.most, size


def test_a_full_mesh_tells_nothing_merged() -> None:
    """Below the switch not a byte is said in this way."""
    net = FakeNet(config=quick(sync_interval_s=10_000.0))
    ann, bob, cat = (net.node(name) for name in ("ann", "bob", "cat"))
    for node in (ann, bob, cat):
        node.join()
    for one, other in itertools.combinations((ann, bob, cat), 2):
        net.link(one, other)
    net.run(2.0)
    ann.say("hello")
    net.run(2.0)
    assert not [frame for node in (ann, bob, cat) for frame in holders_sent(node)]
    assert {payload[0] for node in (ann, bob, cat) for _peer, payload in node.sent} <= {22, 33, 40, 41, 42, 43, 44, 45}


def test_a_holder_that_got_it_by_an_exchange_is_heard_of() -> None:
    """Its parent died with the batch on the way: it fetches it over a lazy link, and tells the author that way."""
    net = FakeNet(config=quick())
    net.partial = True
    ann, bob, cat, dan = (net.node(name) for name in ("ann", "bob", "cat", "dan"))
    for one, other in ((ann, bob), (ann, cat), (bob, dan), (cat, dan)):
        net.link(one, other)
    net.run(1.0)
    for node in (ann, bob, cat, dan):
        node.join()
    net.run(1.0)
    for node in (ann, bob, cat, dan):
        node.say(node.name)
        net.run(1.5)
    (said,) = ann.say("first")
    net.run(1.5)
    parent = net.nodes[dan.data.broadcast.paths.towards(lobby(), ann.peer, said.log) or ann.peer]
    assert parent in (bob, cat)
    net.lose = lambda _a, b, payload, _feed: b is dan and payload[0] in (34, 35)
    (said,) = ann.say("second")
    net.run(0.002)
    parent.kill()
    net.run(20.0)
    assert dan.texts()[-1] == "second"
    assert dan.peer in ann.data.receipts.state(lobby(), said.log, said.number).held


def test_a_flood_of_claims_is_dropped(net: FakeNet) -> None:
    """Beyond its pace a peer is not heeded; a second later it is again."""
    ann, bob = chain(net, "ann", "bob")
    eve = Stranger(net, bob)
    (said,) = ann.say("hello")
    net.run(0.1)
    same = tuple(Holder(peer_of("x"), said.number + 1) for _ in range(HOLDERS_PER_FRAME_MAX))
    flood = Holders(room=lobby(), author=peer_of("nobody"), log=1, branch=MAIN_BRANCH, holders=same)
    for _ in range(HOLDERS_PER_S_MAX // HOLDERS_PER_FRAME_MAX + 1):
        eve.send(flood)
    late = Holders(
        room=lobby(),
        author=ann.peer,
        log=said.log,
        branch=MAIN_BRANCH,
        holders=(Holder(peer_of("y"), said.number + 1),),
    )
    eve.send(late)
    net.run(1.0)
    assert peer_of("y") not in ann.data.receipts.state(lobby(), said.log, said.number).held
    eve.send(late)
    net.run(1.0)
    assert peer_of("y") in ann.data.receipts.state(lobby(), said.log, said.number).held


def test_claims_of_nothing_leave_nothing(net: FakeNet) -> None:
    """A frame that tells of no holder makes no entry, whatever log it names."""
    ann, bob = chain(net, "ann", "bob")
    eve = Stranger(net, bob)
    before = len(bob.data.merging._logs)
    for log in range(500):
        eve.send(
            Holders(room=lobby(), author=ann.peer, log=log, branch=MAIN_BRANCH, holders=(Holder(peer_of("x"), 0),))
        )
    assert len(bob.data.merging._logs) == before
