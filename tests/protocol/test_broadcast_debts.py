"""Who is asked for what it announced answers in any case; who does not is blamed, and nobody for a slow line."""

from __future__ import annotations

import functools
import itertools

import pytest

from tests.support.fakelink import lobby
from zmqchat.history.batch import Batch
from zmqchat.model.ids import PeerId
from zmqchat.model.limits import TREE_UNANSWERED_MAX
from zmqchat.protocol.awaited import AWAITED_S
from zmqchat.protocol.debts import PING_AGAIN_S, TRIAL_S, WITHHELD_BYTES
from zmqchat.protocol.facts import LinkBlocked
from zmqchat.protocol.machine import EchoHeard, PeerLinked, PeerUnlinked
from zmqchat.sim.author import Author
from zmqchat.sim.treenet import TreeNet, TreeNode
from zmqchat.wire.frames import Frame
from zmqchat.wire.tree_frames import Announced, Graft, IHave, Relay, Withheld, tree_id

MOST = TREE_UNANSWERED_MAX + 1
"""So many that are not answered are a fault."""


def linked(net: TreeNet, *names: str) -> tuple[TreeNode, list[PeerId]]:
    """A node, and peers of the test's own that are linked to it."""
    (node,) = net.add(1)
    peers = [Author(name).peer for name in names]
    for peer in peers:
        node.handle(PeerLinked(peer=peer, store=bytes(16), generation=1, features=("overlay-1",)))
    return node, peers


def announced(node: TreeNode, peer: PeerId, count: int = MOST) -> list[Batch]:
    """A peer announces batches, each of a log of its own."""
    cat = Author("cat")
    batches = [cat.batch(log=number + 1) for number in range(count)]
    for start in range(0, count, 1_000):
        entries = tuple(Announced(tree_id(batch.raw), 1) for batch in batches[start : start + 1_000])
        node.receive(peer, IHave(room=lobby(), entries=entries))
    return batches


def asked(net: TreeNet) -> dict[PeerId, list[bytes]]:
    """From now on, what the nodes ask each peer for."""
    names: dict[PeerId, list[bytes]] = {}

    def tap(_sender: TreeNode, to: PeerId, frame: Frame) -> None:
        if isinstance(frame, Graft):
            names.setdefault(to, []).append(frame.id)

    net.tap = tap
    return names


def answers(net: TreeNet, node: TreeNode) -> list[str]:
    """From now on, what a node answers, by name of the frame."""
    kinds: list[str] = []
    net.tap = lambda sender, _to, frame: kinds.append(type(frame).__name__) if sender is node else None
    return kinds


def test_who_answers_pings_and_not_a_graft_is_blamed() -> None:
    """As soon as its answer to the ping shows that nothing is under way."""
    net = TreeNet()
    net.echo_s = lambda _node, _peer: 3.0
    node, (eve,) = linked(net, "eve")
    announced(node, eve)
    net.run(AWAITED_S + 2.0)
    assert not node.faults
    net.run(2.0)
    assert [fault.peer for fault in node.faults] == [eve]


@pytest.mark.parametrize("answer", ["relay", "withheld"])
def test_an_answer_that_waits_on_a_slow_line_is_no_fault(answer: str) -> None:
    """It comes long after the batch was given up, and before the answer to the ping."""
    net = TreeNet()
    net.echo_s = lambda _node, _peer: 30.0
    node, (bob,) = linked(net, "bob")
    # What is withheld from a slow peer comes behind what made it slow.
    node.receive(bob, Relay(hops=1, batch=Author("dan").batch(texts=("x" * WITHHELD_BYTES,) * 2 * MOST).raw))
    for batch in announced(node, bob):
        withheld = Withheld(room=lobby(), id=tree_id(batch.raw))
        reply = Relay(hops=1, batch=batch.raw) if answer == "relay" else withheld
        net.at(AWAITED_S + 25.0, functools.partial(node.receive, bob, reply))
    net.run(200.0)
    assert not node.faults


def test_who_answers_no_ping_either_is_blamed_in_the_end() -> None:
    """It is pinged now and then while it goes on announcing; two minutes are enough for any line."""
    net = TreeNet()
    pinged: list[float] = []

    def echo_s(_node: TreeNode, _peer: PeerId) -> float:
        pinged.append(net.now_s)
        return 1e6

    net.echo_s = echo_s
    node, (eve,) = linked(net, "eve")
    announced(node, eve)
    for number in range(30):
        net.run(5.0)
        node.receive(eve, IHave(room=lobby(), entries=(Announced(number.to_bytes(16, "big"), 1),)))
        if net.now_s < AWAITED_S + TRIAL_S:
            assert not node.faults
    assert [fault.peer for fault in node.faults] == [eve]
    assert all(later - first >= PING_AGAIN_S for first, later in itertools.pairwise(pinged))


def test_a_link_that_goes_takes_its_debts_with_it() -> None:
    """What was under way is lost with it, and an answer to the old link's ping says nothing of the new one."""
    net = TreeNet()
    net.echo_s = lambda _node, _peer: 1e6
    node, (bob,) = linked(net, "bob")
    announced(node, bob)
    net.run(AWAITED_S + 1.0)
    node.handle(PeerUnlinked(peer=bob, reason="lost"))
    node.handle(EchoHeard(peer=bob))
    node.handle(PeerLinked(peer=bob, store=bytes(16), generation=1, features=("overlay-1",)))
    node.handle(EchoHeard(peer=bob))
    net.run(2 * TRIAL_S)
    assert not node.faults


def test_the_next_one_is_asked_where_the_first_does_not_send() -> None:
    """At once, rather than after another wait; and what comes then is all there is to it."""
    net = TreeNet()
    node, (bob, dan) = linked(net, "bob", "dan")
    names = asked(net)
    (batch,) = announced(node, bob, 1)
    net.run(0.01)
    node.receive(dan, IHave(room=lobby(), entries=(Announced(tree_id(batch.raw), 1),)))
    net.run(0.08)
    assert names == {bob: [tree_id(batch.raw)]}
    node.receive(bob, Withheld(room=lobby(), id=tree_id(batch.raw)))
    net.run(0.001)
    assert names[dan] == [tree_id(batch.raw)]
    node.receive(dan, Relay(hops=1, batch=batch.raw))
    node.receive(Author("gone").peer, Withheld(room=lobby(), id=tree_id(batch.raw)))
    net.run(2 * AWAITED_S)
    assert node.got[batch.raw] and not node.faults and len(names[bob]) == 1


def test_more_than_a_peer_heeds_is_asked_for_later_and_blames_nobody() -> None:
    """A thousand names at once: each is asked for, in some seconds, and each answer counts."""
    net = TreeNet()
    node, (bob,) = linked(net, "bob")
    names = asked(net)
    batches = {tree_id(batch.raw): batch for batch in announced(node, bob, 600)}
    for _ in range(200):
        net.run(0.05)
        for name in names.pop(bob, ()):
            node.receive(bob, Relay(hops=1, batch=batches[name].raw))
    net.run(3 * AWAITED_S)
    assert node.sent["Graft"] == len(batches) and not node.faults


def test_who_withholds_what_it_announces_is_blamed() -> None:
    """An answer to each request, and never a batch: that is no better than silence."""
    net = TreeNet()
    node, (eve,) = linked(net, "eve")
    for batch in announced(node, eve):
        net.at(1.0, functools.partial(node.receive, eve, Withheld(room=lobby(), id=tree_id(batch.raw))))
    net.run(2.0)
    assert [fault.peer for fault in node.faults] == [eve]


def test_every_graft_for_a_batch_is_answered() -> None:
    """By the batch, or else by word that it is not sent: held no more, never known, of another room, to a slow peer."""
    net = TreeNet()
    node, (bob,) = linked(net, "bob")
    batch = node.say()
    name = tree_id(batch.raw)
    kinds = answers(net, node)
    node.receive(bob, Graft(room=lobby(), id=name))
    node.receive(bob, Graft(room=lobby("other"), id=name))
    node.receive(bob, Graft(room=lobby(), id=b"never was here.."))
    node.handle(LinkBlocked(peer=bob))
    node.receive(bob, Graft(room=lobby(), id=name))
    assert kinds == ["Relay", "Withheld", "Withheld", "Withheld"]
