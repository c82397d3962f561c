"""Gaps: who can't be linked to is reached through others, at once and once; a full mesh says nothing."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from random import Random

import pytest

from tests.support.fakelink import FakeNet, FakeNode, lobby, peer_of, quick
from zmqchat.model.config import Config
from zmqchat.model.ids import PeerId
from zmqchat.protocol.facts import Instant
from zmqchat.protocol.gaps import KNOWN_SHARE
from zmqchat.protocol.roster_facts import LinkGapped
from zmqchat.wire.frames import Frame, Push, decode
from zmqchat.wire.gap_frames import Gapped, Spare, link_name
from zmqchat.wire.tree_frames import Graft, IHave, Relay

Pair = tuple[FakeNode, FakeNode]

GAP_S = Config().gap_after_s


@pytest.fixture
def net() -> FakeNet:
    """A mesh that is not partial, in which all know of all."""
    net = FakeNet(config=quick(sync_interval_s=10_000.0))
    net.tells_members = True
    return net


def made(net: FakeNet, *names: str, outside: tuple[str, ...] = ()) -> list[FakeNode]:
    """Nodes without links, that will join the lobby but for those outside."""
    nodes = [net.node(name) for name in names]
    for node in nodes:
        node.stays_out = node.name in outside
    return nodes


def linked(net: FakeNet, pairs: Iterable[Pair]) -> None:
    """Link these pairs, let gaps open, and join, until all hold what that says."""
    for one, other in pairs:
        net.link(one, other)
    net.run(GAP_S + 1.0)
    for node in net.nodes.values():
        if not node.stays_out:
            node.join()
    net.run(8.0)


def frames_of(node: FakeNode, kind: type[Frame]) -> list[Frame]:
    """What a node has sent of this type."""
    frames = [decode(payload) for _peer, payload in node.sent]
    return [frame for frame in frames if isinstance(frame, Frame) and isinstance(frame, kind)]


def payloads(nodes: Iterable[FakeNode]) -> int:
    """How often batches were sent over links and feeds."""
    return sum(len(frames_of(node, Relay)) + len(frames_of(node, Push)) for node in nodes)


def forget(nodes: Iterable[FakeNode]) -> None:
    """Count what is sent from here on."""
    for node in nodes:
        node.sent.clear()
        node.published.clear()


# Who is gapped -----------------------------------------------------------------------------------------


def test_a_live_member_without_a_link_is_a_gap_after_a_while(net: FakeNet) -> None:
    """Both ends see it 5 s after they knew of each other, and tell their links to whom they are linked."""
    ann, bob, cat = made(net, "ann", "bob", "cat")
    net.link(ann, bob)
    net.link(bob, cat)
    net.run(GAP_S - 0.1)
    assert not any(node.gap_machine.is_gapped for node in (ann, bob, cat))
    assert not any(frames_of(node, Gapped) for node in (ann, bob, cat))
    net.run(0.2)
    assert ann.gap_machine.unreached == (cat.peer,) and cat.gap_machine.unreached == (ann.peer,)
    assert not bob.gap_machine.is_gapped
    assert frames_of(ann, Gapped) == frames_of(cat, Gapped) == [Gapped(on=True, links=(link_name(bob.peer),))]
    assert bob.gap_machine.is_lacked(ann.peer) and bob.gap_machine.is_lacked(cat.peer)


def test_a_relay_that_is_new_waits_less_where_gaps_are_known(net: FakeNet) -> None:
    """Its links have told of gaps, so whom it can't reach itself is one for it after a tenth of the time."""
    ann, bob, cat = made(net, "ann", "bob", "cat")
    net.link(ann, bob)
    net.link(bob, cat)
    net.run(GAP_S + 1.0)
    (dan,) = made(net, "dan")
    net.link(cat, dan)
    net.run(GAP_S * KNOWN_SHARE + 0.5)
    assert dan.gap_machine.unreached == tuple(sorted((ann.peer, bob.peer)))


def test_a_link_that_begins_to_tell_of_gaps_is_known_for_it_once(net: FakeNet) -> None:
    """Not again when its links change, but after it had none."""
    (ann,) = made(net, "ann")
    machine, bob, at = ann.gap_machine, peer_of("bob"), Instant(1.0, 1)
    for on, links, is_told in ((True, (), True), (True, (b"12345678",), False), (False, (), False), (True, (), True)):
        machine.frames[Gapped](bob, Gapped(on=on, links=links), at)
        facts, machine.outbox = machine.outbox, []
        assert (LinkGapped(peer=bob) in facts) == is_told


def test_a_full_mesh_tells_nothing(net: FakeNet) -> None:
    """Where all are linked within 5 s nobody is gapped, and no frame of gaps or trees is sent."""
    nodes = made(net, *"abcdef")
    net.run(GAP_S - 1.0)
    linked(net, itertools.combinations(nodes, 2))
    for node in nodes:
        node.say(f"from {node.name}")
    net.run(30.0)
    for node in nodes:
        assert not node.gap_machine.is_gapped and len(node.texts()) == 6
        assert not any(frames_of(node, kind) for kind in (Gapped, Spare, Relay, IHave, Graft))


def test_a_gap_closes_with_a_link_or_a_death(net: FakeNet) -> None:
    """Who was gapped tells its links that it is no more."""
    ann, bob, cat, dan = made(net, "ann", "bob", "cat", "dan")
    linked(net, [(ann, bob), (bob, cat), (bob, dan), (cat, dan)])
    assert ann.gap_machine.unreached == tuple(sorted((cat.peer, dan.peer)))
    net.link(ann, cat)
    net.run(0.1)
    assert ann.gap_machine.unreached == (dan.peer,) and not cat.gap_machine.is_gapped
    assert frames_of(cat, Gapped)[-1] == Gapped(on=False, links=())
    net.buries(dan)
    net.run(0.1)
    assert not ann.gap_machine.is_gapped
    assert frames_of(ann, Gapped)[-1] == Gapped(on=False, links=())
    assert not bob.gap_machine.is_lacked(cat.peer)


def test_a_suspect_is_no_gap_until_it_is_cleared(net: FakeNet) -> None:
    """A crashed member of a full mesh never makes others tell of gaps."""
    ann, bob, cat = made(net, "ann", "bob", "cat")
    net.suspects.add(cat.peer)
    linked(net, [(ann, bob), (bob, cat)])
    assert not ann.gap_machine.is_gapped
    net.suspects.clear()
    net.run(1.1)
    assert ann.gap_machine.is_gapped


def test_the_partial_mesh_knows_no_gaps(net: FakeNet) -> None:
    """With the switch gaps are forgotten, and told to be; back in the full mesh they open again."""
    ann, bob, cat = made(net, "ann", "bob", "cat")
    linked(net, [(ann, bob), (bob, cat)])
    ann.switch(partial=True)
    net.run(GAP_S + 1.0)
    assert not ann.gap_machine.is_gapped and frames_of(ann, Gapped)[-1] == Gapped(on=False, links=())
    assert not ann.gap_machine.routes(bob.peer)
    ann.switch(partial=False)
    net.run(GAP_S + 1.0)
    assert ann.gap_machine.is_gapped and frames_of(ann, Gapped)[-1] == Gapped(on=True, links=(link_name(bob.peer),))


def test_what_was_lost_on_a_blocked_link_is_told_again(net: FakeNet) -> None:
    """A frame that libzmq dropped may have been the one that told of the gap."""
    ann, bob, cat = made(net, "ann", "bob", "cat")
    net.lose = lambda _sender, _receiver, payload, _feed: isinstance(decode(payload), Gapped)
    linked(net, [(ann, bob), (bob, cat)])
    assert not bob.gap_machine.is_lacked(cat.peer)
    net.lose = lambda _sender, _receiver, _payload, _feed: False
    ann.blocked(bob)
    net.run(0.1)
    assert bob.gap_machine.is_lacked(cat.peer)


# Relaying ------------------------------------------------------------------------------------------------


def test_a_message_goes_over_the_node_between_at_once(net: FakeNet) -> None:
    """A chain of three: both ways within milliseconds, once, and the author hears of both who have it."""
    ann, bob, cat = made(net, "ann", "bob", "cat")
    linked(net, [(ann, bob), (bob, cat)])
    (said,) = ann.say("hello")
    cat.say("hello too")
    net.run(0.02)
    for node in (ann, bob, cat):
        assert sorted(node.texts()) == ["hello", "hello too"], node.name
    net.run(1.0)
    state = ann.data.receipts.state(lobby(), said.log, said.number)
    assert state.held == state.delivered == tuple(sorted((bob.peer, cat.peer))) and not state.pending


def test_a_chain_of_eight_is_as_quick_as_its_links(net: FakeNet) -> None:
    """Everything said anywhere is everywhere in as many milliseconds as there are links, each payload once."""
    nodes = made(net, *"abcdefgh")
    linked(net, itertools.pairwise(nodes))
    forget(nodes)
    for node in nodes:
        (said,) = node.say(f"from {node.name}")
        net.run(7 * net.latency_s + 0.02)
        assert all(other.texts()[-1] == f"from {node.name}" for other in nodes)
        net.run(4.0)
        state = node.data.receipts.state(lobby(), said.log, said.number)
        assert len(state.delivered) == 7 and not state.pending
    fed = sum(len(net.others(node)) for node in nodes)
    assert payloads(nodes) + fed == 8 * 7, "as many as there are receivers"
    assert not any(frames_of(node, kind) for node in nodes for kind in (IHave, Graft, Spare))


def test_what_was_held_before_the_gap_opened_is_told_then(net: FakeNet) -> None:
    """Said in the first seconds, it comes by an exchange; once the gap is open its author hears who has it."""
    ann, bob, cat = made(net, "ann", "bob", "cat")
    for node in (ann, bob, cat):
        node.join()
    net.link(ann, bob)
    net.link(bob, cat)
    net.run(2.0)
    (said,) = ann.say("early")
    net.run(2.5)
    assert cat.texts() == ["early"]
    assert ann.data.receipts.state(lobby(), said.log, said.number).held == (bob.peer,)
    net.run(2.0)
    assert cat.peer in ann.data.receipts.state(lobby(), said.log, said.number).held


def subnets(net: FakeNet, *, outside: tuple[str, ...] = ()) -> list[FakeNode]:
    """Three subnets of three, joined by two nodes that are in two each."""
    names = [f"{side}{number}" for side in "abc" for number in range(3)] + ["gate1", "gate2"]
    nodes = made(net, *names, outside=outside)
    one, two = nodes[9:]
    groups = [[*nodes[:3], one], [*nodes[3:6], one, two], [*nodes[6:9], two]]
    linked(net, dict.fromkeys(pair for group in groups for pair in itertools.combinations(group, 2)))
    return nodes


def test_three_subnets_are_joined_by_their_gateways(net: FakeNet) -> None:
    """Each message comes to each of the others once, over three links at most, and receipts come back."""
    nodes = subnets(net)
    forget(nodes)
    for node in nodes:
        before = payloads(nodes) + len(net.others(node))
        (said,) = node.say(f"from {node.name}")
        net.run(0.02)
        assert all(other.texts()[-1] == f"from {node.name}" for other in nodes), node.name
        assert payloads(nodes) - before + 2 * len(net.others(node)) == 10
        net.run(2.0)
        state = node.data.receipts.state(lobby(), said.log, said.number)
        assert len(state.delivered) == 10 and not state.pending, node.name


def test_relays_need_not_be_in_the_room(net: FakeNet) -> None:
    """Only the two at the far ends are in it: the gateways carry what they say, and deliver nothing."""
    others = tuple(f"{side}{number}" for side in "abc" for number in range(3) if side + str(number) not in ("a0", "c0"))
    nodes = subnets(net, outside=(*others, "gate1", "gate2"))
    ann, cat = nodes[0], nodes[6]
    forget(nodes)
    ann.say("hello")
    cat.say("and back")
    net.run(0.02)
    assert sorted(ann.texts()) == sorted(cat.texts()) == ["and back", "hello"]
    assert not any(node.texts() for node in nodes if node not in (ann, cat))
    assert payloads(nodes) < 2 * 10


@pytest.mark.parametrize("is_joined", [True, False])
def test_isolated_clients_hear_each_other_through_their_gateway(net: FakeNet, is_joined: bool) -> None:
    """Hosts reach only the gateway, which lacks nobody: it relays all the same, in the room or not."""
    gateway, *hosts = made(net, "gateway", *"abcde", outside=() if is_joined else ("gateway",))
    linked(net, [(gateway, host) for host in hosts])
    assert not gateway.gap_machine.is_gapped
    (said,) = hosts[0].say("hello")
    net.run(0.02)
    assert all(host.texts() == ["hello"] for host in hosts)
    net.run(1.0)
    state = hosts[0].data.receipts.state(lobby(), said.log, said.number)
    assert len(state.delivered) == (5 if is_joined else 4) and not state.pending


def test_of_two_gateways_one_sends_and_the_other_announces(net: FakeNet) -> None:
    """Each host gets each payload once, and its name once; gateways need no link to each other for that."""
    one, two, *hosts = made(net, "one", "two", *"abcdefgh")
    linked(net, [(gateway, host) for gateway in (one, two) for host in hosts])
    forget((one, two, *hosts))
    hosts[0].say("hello")
    net.run(0.05)
    assert all(host.texts() == ["hello"] for host in hosts)
    assert payloads([one, two]) == 7
    assert sum(len(frames_of(node, IHave)) for node in (one, two)) == 7
    assert all(frames_of(node, Relay) for node in (one, two)), "the work is shared out"


def test_a_relay_that_loses_everything_is_made_up_for(net: FakeNet) -> None:
    """Whoever is second in line has announced it, and is asked for it after 80 ms."""
    one, two, *hosts = made(net, "one", "two", *"abcd")
    linked(net, [(gateway, host) for gateway in (one, two) for host in hosts])
    net.lose = lambda sender, _receiver, payload, _feed: sender is one and isinstance(decode(payload), Relay)
    hosts[0].say("hello")
    net.run(0.15)
    assert all(host.texts() == ["hello"] for host in hosts)


def test_when_a_relay_dies_the_next_one_takes_over(net: FakeNet) -> None:
    """As soon as the links are told: nothing of what follows waits for anybody to ask."""
    one, two, *hosts = made(net, "one", "two", *"abcd")
    linked(net, [(gateway, host) for gateway in (one, two) for host in hosts])
    one.kill()
    net.run(0.1)
    for host in hosts:
        host.say(f"from {host.name}")
    net.run(0.02)
    assert all(len(host.texts()) == 4 for host in hosts)
    two.kill()
    net.restart(one)
    for host in hosts:
        net.link(net.nodes[one.peer], host)
    net.run(0.1)
    for host in hosts:
        host.say(f"again from {host.name}")
    net.run(0.02)
    assert all(len(host.texts()) == 8 for host in hosts)


def test_one_gap_in_a_large_mesh_costs_its_two_ends_one_payload_and_one_name(net: FakeNet) -> None:
    """Of 22 possible relays one sends and one announces; what others say goes as in a full mesh."""
    nodes = made(net, *(f"node {number}" for number in range(24)))
    ann, bob = nodes[:2]
    linked(net, (pair for pair in itertools.combinations(nodes, 2) if pair != (ann, bob)))
    forget(nodes)
    ann.say("from one end")
    nodes[7].say("from anybody")
    net.run(0.05)
    assert all(sorted(node.texts()) == ["from anybody", "from one end"] for node in nodes)
    assert len(ann.published) == len(nodes[7].published) == 1
    assert payloads(nodes) == 1
    assert sum(len(frames_of(node, IHave)) for node in nodes) == 1
    assert not any(frames_of(node, kind) for node in nodes for kind in (Graft, Spare))


@pytest.mark.parametrize("seed", range(4))
def test_any_connected_mesh_is_reached_at_once(net: FakeNet, seed: int) -> None:
    """Random links: everybody has everything within its hops, and what comes twice at first soon does not."""
    rng = Random(seed)
    nodes = made(net, *(f"node {number}" for number in range(16)))
    pairs = {(number, rng.randrange(number)) for number in range(1, 16)} | {
        tuple(sorted(rng.sample(range(16), 2), reverse=True)) for _ in range(24)
    }
    linked(net, [(nodes[one], nodes[other]) for one, other in sorted(pairs)])
    for round_ in range(3):
        forget(nodes)
        for author in nodes:
            author.say(f"{round_} of {author.name}")
            net.run(0.5)
            late = [node.name for node in nodes if node.texts()[-1] != f"{round_} of {author.name}"]
            assert not late, (seed, late)
    fed = sum(len(net.others(node)) for node in nodes)
    assert payloads(nodes) + fed <= 1.1 * 16 * 15
    assert not any(node.faults for node in nodes)


def test_older_nodes_are_not_counted_on(net: FakeNet) -> None:
    """A relay that does not know these frames is told nothing, and another that does is chosen instead of it."""
    old = net.node("old", features=("overlay-1",))
    old.join()
    new, ann, bob = made(net, "new", "ann", "bob")
    linked(net, [(relay, end) for relay in (old, new) for end in (ann, bob)])
    for number in range(4):
        ann.say(f"text {number}")
        bob.say(f"answer {number}")
        net.run(0.02)
    assert all(len(node.texts()) == 8 for node in (old, new, ann, bob))
    assert not any(
        isinstance(decode(payload), Gapped) for node in (ann, bob) for peer, payload in node.sent if peer == old.peer
    )


# Switching, faults, bounds ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_gaps_that_open_and_close_amid_talk_lose_and_double_nothing(net: FakeNet, seed: int) -> None:
    """Links come and go at random, to whole meshes and back, while all talk: everybody has everything once."""
    net.config = quick(sync_interval_s=2.0)
    rng = Random(seed)
    nodes = made(net, *(f"node {number}" for number in range(8)))
    pairs = list(itertools.combinations(nodes, 2))
    linked(net, pairs)
    said: list[str] = []
    for _ in range(60):
        one, other = rng.choice(pairs)
        if net.linked(one, other):
            net.unlink(one, other)
        else:
            net.link(one, other)
        said.append(f"text {len(said)}")
        rng.choice(nodes).say(said[-1])
        net.run(rng.random() * 1.5)
    for one, other in pairs:
        if not net.linked(one, other):
            net.link(one, other)
    net.run(20.0)
    for node in nodes:
        assert sorted(node.texts()) == sorted(said), node.name
        assert not node.faults and not node.gap_machine.is_gapped
        assert not any(node.gap_machine.is_lacked(other.peer) for other in nodes)


def test_made_up_members_and_endless_words_of_a_link_stay_within_bounds(net: FakeNet) -> None:
    """Whatever is told, no table grows beyond its bound."""
    ann, bob = made(net, "ann", "bob")
    linked(net, [(ann, bob)])
    for number in range(1_000):
        ann.learns_of(peer_of(f"made up {number}"))
        net.hand(bob, ann, Spare(author=PeerId(number.to_bytes(32, "big"))))
    net.hand(bob, ann, Gapped(on=True, links=tuple(number.to_bytes(8, "big") for number in range(256))))
    for number in range(1_000):
        net.hand(bob, ann, Spare(author=PeerId(number.to_bytes(32, "big"))))
    net.run(GAP_S + 1.0)
    for size in ann.gap_machine.sizes():
        assert size.kept <= size.most, size
