"""Liveness: the dead are noticed by all, the living refute, and nobody flickers on a bad network."""

from __future__ import annotations

from random import Random

from tests.support.rosternet import RosterNet, RosterNode
from zmqchat.model.addresses import Endpoint
from zmqchat.model.config import Config
from zmqchat.model.limits import SUSPECTS_MAX
from zmqchat.protocol.facts import FrameReceived
from zmqchat.protocol.liveness import DIAL_DOUBT_S
from zmqchat.protocol.machine import DialEnded
from zmqchat.protocol.roster_facts import MemberDead, MembersLive
from zmqchat.wire.frames import encode
from zmqchat.wire.roster_frames import DEAD, SUSPECT, Liveness, LivenessEntry

CONFIG = Config()
NOTICED_S = CONFIG.doubt_s + CONFIG.suspect_s + 2.0
SETTLED_S = 40.0


def tell(node: RosterNode, teller: RosterNode, *entries: LivenessEntry) -> None:
    """Have the teller's frame arrive."""
    payload = encode(Liveness(entries=entries))
    node.handle(FrameReceived(peer=teller.peer, payload=payload, inbound=True))


def version_of(node: RosterNode, other: RosterNode) -> int:
    """The version of the other's record here."""
    record = node.roster.record(other.peer)
    assert record is not None
    return record.version


def deaths(nodes: list[RosterNode]) -> int:
    """How often anybody was said to be dead."""
    return sum(isinstance(fact, MemberDead) for node in nodes for _at_s, fact in node.told)


def test_a_dead_node_is_known_to_be_dead_by_all() -> None:
    """Its neighbours suspect it, nobody refutes, and soon it is dead everywhere, also where it had no link."""
    net = RosterNet()
    nodes = net.mesh_of(60, 8)
    net.run(SETTLED_S)
    net.kill(nodes[0])
    net.run(CONFIG.doubt_s + CONFIG.suspect_s - 2.0)
    assert all(node.knows(nodes[0]) for node in nodes[1:])
    net.run(4.0)
    assert not any(node.knows(nodes[0]) for node in nodes[1:])
    assert deaths(nodes) == 59
    assert all(node.roster.live_count == 58 for node in nodes[1:])


def test_a_goodbye_is_known_to_all_within_moments() -> None:
    """Who says goodbye is dead at once for its neighbours, and shortly after for everybody."""
    net = RosterNet()
    nodes = net.mesh_of(60, 8)
    net.run(SETTLED_S)
    neighbours = [net.nodes[peer] for peer in nodes[0].links]
    net.kill(nodes[0], "bye")
    assert not any(node.knows(nodes[0]) for node in neighbours)
    net.run(CONFIG.confirm_s + 1.0)
    assert not any(node.knows(nodes[0]) for node in nodes[1:])


def test_a_suspect_that_lives_refutes() -> None:
    """One broken link makes a suspect; the suspect hears of it, and its newer record clears it everywhere."""
    net = RosterNet()
    nodes = net.mesh_of(60, 8)
    net.run(SETTLED_S)
    subject = nodes[0]
    neighbour = net.nodes[sorted(subject.links)[0]]
    before = version_of(nodes[30], subject)
    net.unlink(subject, neighbour)
    net.run(CONFIG.doubt_s + 0.01)
    assert neighbour.liveness.suspects == [subject.peer]
    net.run(3.0)
    assert not any(node.liveness.suspects for node in nodes)
    net.run(NOTICED_S)
    assert deaths(nodes) == 0
    assert version_of(nodes[30], subject) > before


def test_a_link_that_comes_back_at_once_is_nobodys_news() -> None:
    """A link that breaks and is there again within doubt_s costs no frame of the roster but the greeting."""
    net = RosterNet()
    nodes = net.full_mesh_of(5)
    net.run(SETTLED_S)
    net.unlink(nodes[0], nodes[1])
    net.run(1.0)
    net.link(nodes[0], nodes[1])
    net.run(NOTICED_S)
    assert deaths(nodes) == 0 and not any(node.liveness.suspects for node in nodes)


def test_a_surplus_link_given_up_is_no_reason_to_suspect() -> None:
    """A link that ends on purpose, or by a restart, says nothing of its peer's life."""
    net = RosterNet()
    ann, bob = net.full_mesh_of(2)
    net.run(5.0)
    for reason in ("surplus", "replaced", "fault"):
        net.unlink(ann, bob, reason)
        net.run(NOTICED_S)
        assert ann.knows(bob) and not ann.liveness.suspects
        net.link(ann, bob)


def test_a_node_that_was_dead_lives_again_with_its_next_record() -> None:
    """A restart signs a newer record, which brings it back everywhere."""
    net = RosterNet()
    nodes = net.mesh_of(30, 6)
    net.run(SETTLED_S)
    friends = [net.nodes[peer] for peer in sorted(nodes[0].links)]
    net.kill(nodes[0])
    for friend in friends:
        friend.links.discard(nodes[0].peer)
    net.run(NOTICED_S + 5.0)
    back = net.node(nodes[0].name)
    for friend in friends[:2]:
        net.link(back, friend)
    net.run(10.0)
    assert all(node.knows(back) for node in nodes[1:])
    assert back.roster.live_count == 29
    told = [fact for node in nodes[1:] for _at_s, fact in node.told if isinstance(fact, MembersLive)]
    lives = [fact for fact in told if back.peer in fact.peers]
    assert len(lives) == 2 * 29


def test_halves_that_meet_again_know_each_other_again() -> None:
    """A healed partition brings everybody back within a minute, and those who were there all the time never go."""
    net = RosterNet()
    nodes = [net.node(f"node {number}") for number in range(40)]
    halves = nodes[:20], nodes[20:]
    for half in halves:
        for number, node in enumerate(half):
            for step in (1, 3, 7):
                net.link(node, half[(number + step) % 20])
    for one, other in zip(*halves, strict=True):
        net.link(one, other)
    net.run(SETTLED_S)
    for one, other in zip(*halves, strict=True):
        net.unlink(one, other)
    net.run(60.0)
    assert all(node.roster.live_count == 19 for node in nodes)
    for node in nodes:
        node.told.clear()
    net.link(halves[0][0], halves[1][0])
    net.run(60.0)
    assert all(node.roster.live_count == 39 for node in nodes)
    assert deaths(nodes) == 0


def test_nobody_flickers_though_links_break_and_frames_are_lost() -> None:
    """With 5 % of frames lost and a link broken for a while each second, no live node is ever said to be dead."""
    net = RosterNet()
    chance = Random(3)
    net.lose = lambda _a, _b, _payload: chance.random() < 0.05
    nodes = net.mesh_of(50, 8)
    net.run(SETTLED_S)
    for _ in range(300):
        one = chance.choice(nodes)
        if len(one.links) > 3:
            other = net.nodes[chance.choice(sorted(one.links))]
            if len(other.links) > 3:
                net.unlink(one, other, chance.choice(["lost", "silent"]))
                net.at(chance.uniform(0.5, 20.0), lambda one=one, other=other: net.link(one, other))  # type: ignore[misc]  # reason: mypy can't infer a lambda with defaults
        net.run(1.0)
    assert deaths(nodes) == 0
    assert all(node.roster.live_count == 49 for node in nodes)


def test_a_liar_is_refuted_before_anybody_believes_it() -> None:
    """Who says that a live node is dead makes a suspect for moments, and nobody dead."""
    net = RosterNet()
    nodes = net.mesh_of(30, 6)
    net.run(SETTLED_S)
    subject = nodes[0]
    for state in (DEAD, SUSPECT):
        for victim in (nodes[10], nodes[20]):
            liar = net.nodes[sorted(victim.links)[0]]
            tell(victim, liar, LivenessEntry(subject.peer, version_of(victim, subject), state))
        net.run(NOTICED_S)
    assert deaths(nodes) == 0 and not any(node.liveness.suspects for node in nodes)


def test_claims_about_versions_that_nobody_signed_change_nothing() -> None:
    """A suspicion of a later version than the one held is ignored; of an earlier one, answered with the record."""
    net = RosterNet()
    ann, bob, carol = net.full_mesh_of(3)
    net.run(10.0)
    version = version_of(ann, carol)
    tell(ann, bob, LivenessEntry(carol.peer, version + 1, DEAD))
    assert not ann.liveness.suspects
    before = len(ann.sent)
    tell(ann, bob, LivenessEntry(carol.peer, version - 1, DEAD))
    assert not ann.liveness.suspects
    assert [peer for peer, _payload in ann.sent[before:]] == [bob.peer]


def test_a_failed_dial_finds_those_who_died_with_all_their_neighbours() -> None:
    """Nobody had a link to it; who fails to dial it asks the mesh, once in half an hour."""
    net = RosterNet()
    ann, bob, carol = (net.node(name) for name in ("ann", "bob", "carol"))
    net.link(ann, bob)
    net.link(bob, carol)
    net.run(10.0)
    assert ann.knows(carol)
    failed = DialEnded(
        endpoint=Endpoint("10.0.0.1", 1), expected=carol.peer, peer=None, reason="timeout", detail="no answer"
    )
    ann.handle(failed)
    net.run(NOTICED_S)
    assert ann.knows(carol), "it lives, and has said so"
    frames = len(ann.sent)
    ann.handle(failed)
    net.run(CONFIG.doubt_s + 1.0)
    assert len(ann.sent) <= frames + 1
    net.unlink(ann, bob, "surplus")
    net.unlink(bob, carol, "surplus")
    net.run(DIAL_DOUBT_S)
    ann.handle(failed)
    net.run(NOTICED_S)
    assert not ann.knows(carol)


def test_a_linked_suspect_is_asked_again_instead_of_buried() -> None:
    """Whoever has a link to a suspect knows better than the rumour."""
    net = RosterNet()
    ann, bob, carol = net.full_mesh_of(3)
    net.run(10.0)
    net.lose = lambda sender, receiver, _payload: sender is carol or receiver is carol
    tell(ann, bob, LivenessEntry(carol.peer, version_of(ann, carol), SUSPECT))
    net.run(NOTICED_S * 2)
    assert ann.knows(carol) and deaths([ann]) == 0
    net.lose = lambda _a, _b, _payload: False
    net.run(NOTICED_S)
    assert not ann.liveness.suspects


def test_suspicions_are_bounded() -> None:
    """What others say of thousands keeps at most so many timers."""
    net = RosterNet()
    ann, bob = net.full_mesh_of(2)
    net.run(5.0)
    for size in ann.liveness.sizes():
        assert size.kept <= size.most
    assert [size.most for size in ann.liveness.sizes() if size.what == "suspects"] == [SUSPECTS_MAX]
    assert bob.knows(ann)
