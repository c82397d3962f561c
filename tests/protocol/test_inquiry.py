"""Inquiry: `doctor PEER` asks, the other side answers once, and nobody else's answer counts."""

from __future__ import annotations

from tests.support.linkpair import LinkNet, LinkNode
from zmqchat.protocol.effects import PeerReported
from zmqchat.protocol.inquiry import INQUIRY_WAIT_S
from zmqchat.wire.frames import Inquire, Report, encode


def ask(node: LinkNode, other: LinkNode) -> int:
    """Ask what the other side thinks of this one."""
    token = node.inquiry.ask(other.peer)
    node.mesh.settle(node.instant())
    for effect in node.mesh.take_effects():
        node._apply(effect)
    return token


def test_a_peer_tells_what_it_thinks_of_us() -> None:
    """The lines are what its link machine describes."""
    net = LinkNet()
    ann, bob = net.pair()
    token = ask(ann, bob)
    net.run(0.1)
    [report] = ann.of(PeerReported)
    assert (report.peer, report.token) == (bob.peer, token)
    assert ("linked", "yes") in report.lines


def test_a_second_question_at_once_is_not_answered() -> None:
    """Describing costs more than asking; after a moment it is answered again."""
    net = LinkNet()
    ann, bob = net.pair()
    ask(ann, bob)
    ask(ann, bob)
    net.run(INQUIRY_WAIT_S + 0.01)
    assert len(ann.of(PeerReported)) == 1
    ask(ann, bob)
    net.run(0.1)
    assert len(ann.of(PeerReported)) == 2


def test_reports_that_nobody_waits_for_are_dropped() -> None:
    """A made-up token, one that was given up, and another peer's answer."""
    net = LinkNet()
    ann, bob = net.pair()
    carol = net.node("carol", host="10.9.9.9")
    carol.sight(ann)
    net.until(lambda: ann.is_linked(carol))
    net.deliver(bob, ann, encode(Report(token=99, lines=())))
    given_up = ann.inquiry.ask(bob.peer)
    ann.inquiry.forget(given_up)
    ann.inquiry.forget(given_up)
    net.deliver(bob, ann, encode(Report(token=given_up, lines=())))
    waiting = ann.inquiry.ask(bob.peer)
    net.deliver(carol, ann, encode(Report(token=waiting, lines=())))
    assert ann.of(PeerReported) == []


def test_who_links_again_may_ask_again() -> None:
    """The pause belongs to a link."""
    net = LinkNet()
    ann, bob = net.pair()
    net.deliver(bob, ann, encode(Inquire(token=1)))
    net.cut(ann, bob)
    net.run(0.01)
    net.until(lambda: ann.is_linked(bob))
    before = len(ann.sent)
    net.deliver(bob, ann, encode(Inquire(token=2)))
    assert [frame for _, frame in ann.sent[before:] if isinstance(frame, Report)] != []
