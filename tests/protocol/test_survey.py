"""Survey: linked peers tell of the links that they know, and only who was asked is heeded."""

from __future__ import annotations

from tests.support.linkpair import LinkNet, LinkNode
from zmqchat.protocol.machine import PeerUnlinked
from zmqchat.protocol.survey import ASK_AGAIN_S, KEPT_S
from zmqchat.wire.frames import encode
from zmqchat.wire.survey_frames import LinksAsked, LinksOf, LinksTold


def ask(node: LinkNode) -> None:
    """Ask all linked peers."""
    node.survey.ask()
    node.mesh.settle(node.instant())
    for effect in node.mesh.take_effects():
        node._apply(effect)


def three() -> tuple[LinkNet, LinkNode, LinkNode, LinkNode]:
    """Ann, bob and cy, all linked to each other by what bob tells."""
    net = LinkNet()
    ann, bob = net.pair()
    cy = net.node("cy", host="10.9.9.9")
    bob.sight(cy)
    net.until(lambda: bob.is_linked(cy) and ann.is_linked(cy))
    return net, ann, bob, cy


def test_a_peer_tells_of_its_links() -> None:
    """Its own, by the first bytes of the ids; the question is answered then."""
    net, ann, bob, cy = three()
    ask(ann)
    assert not ann.survey.is_complete
    net.run(0.1)
    assert ann.survey.is_complete
    assert any(owner == bob.peer[:8] and cy.peer[:8] in others for owner, others in ann.survey.known(net.now_s))


def test_what_is_told_is_forgotten() -> None:
    """After a minute, and with the link over which it was told."""
    net, ann, bob, cy = three()
    ask(ann)
    net.run(0.1)
    assert ann.survey.known(net.now_s) != []
    assert ann.survey.known(net.now_s + KEPT_S) == []
    for teller in (bob, cy):
        ann.handle(PeerUnlinked(peer=teller.peer, reason="lost"))
    assert ann.survey.known(net.now_s) == []


def test_a_second_question_at_once_is_not_answered() -> None:
    """After a moment it is answered again; meanwhile the one before counts."""
    net, ann, _bob, _cy = three()
    ask(ann)
    net.run(0.1)
    before = ann.survey.known(net.now_s)
    ask(ann)
    net.run(0.1)
    assert not ann.survey.is_complete
    assert ann.survey.known(net.now_s) == before
    net.run(ASK_AGAIN_S)
    ask(ann)
    net.run(0.1)
    assert ann.survey.is_complete


def test_answers_that_nobody_asked_for_are_dropped() -> None:
    """Of a made-up token, and of a peer that was not asked."""
    net, ann, bob, _cy = three()
    lists = (LinksOf(bytes(8), bytes(8)),)
    net.deliver(bob, ann, encode(LinksTold(token=99, lists=lists)))
    assert ann.survey.known(net.now_s) == []


def test_who_asks_is_told_nothing_of_itself_twice() -> None:
    """Its own links it knows; the answer has those of others."""
    net, ann, bob, cy = three()
    before = len(bob.sent)
    net.deliver(ann, bob, encode(LinksAsked(token=1)))
    [told] = [frame for _, frame in bob.sent[before:] if isinstance(frame, LinksTold)]
    owners = [each.owner for each in told.lists]
    assert owners[0] == bob.peer[:8]
    assert ann.peer[:8] not in owners
    assert set(owners[1:]) <= {cy.peer[:8]}
