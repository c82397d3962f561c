"""Who can reach whom in a simulated network, and how long that takes."""

from __future__ import annotations

from random import Random

import pytest

from zmqchat.sim.conditions import RESEND_S, Conditions, LinkQuality, Subnet


def _conditions(*places: tuple[str, ...]) -> Conditions:
    conditions = Conditions(Random(1))
    for node, subnets in enumerate(places):
        conditions.settle(node, subnets)
    return conditions


def test_hosts_of_one_subnet_reach_each_other() -> None:
    """The other is found by its address, and sees ours of the same subnet."""
    conditions = _conditions(("lan",), ("lan",))
    assert conditions.find(0, conditions.host_in(1, "lan")) == (1, conditions.host_in(0, "lan"))
    assert conditions.find(0, "10.99.0.1") == (None, "timeout")
    assert conditions.in_subnet("lan") == [0, 1]


def test_a_node_in_two_subnets_is_reached_from_both_and_joins_nothing() -> None:
    """Hosts of different subnets reach the one between them, not each other."""
    conditions = _conditions(("east",), ("east", "west"), ("west",))
    between = conditions.hosts(1)
    assert conditions.find(0, between[0])[0] == 1
    assert conditions.find(2, between[1])[0] == 1
    assert conditions.find(0, between[1]) == (None, "timeout")
    assert conditions.find(0, conditions.hosts(2)[0]) == (None, "timeout")
    conditions.subnets["west"].rejects = True
    assert conditions.find(0, conditions.hosts(2)[0]) == (None, "refused")


def test_isolated_hosts_reach_the_gateway_only() -> None:
    """Client isolation: the gateway is reached and reaches, the others do not find each other, by multicast neither."""
    conditions = _conditions(("wifi",), ("wifi",), ("wifi",))
    conditions.subnets["wifi"].gateway = 0
    assert conditions.find(1, conditions.hosts(0)[0])[0] == 0
    assert conditions.find(0, conditions.hosts(2)[0])[0] == 2
    assert conditions.find(1, conditions.hosts(2)[0]) == (None, "timeout")
    assert conditions.hears(1, 0, "wifi")
    assert not conditions.hears(1, 2, "wifi")


def test_routed_subnets_reach_each_other_but_nobody_dials_into_a_translated_one() -> None:
    """Who is behind NAT dials out, and is seen by its own address there."""
    conditions = _conditions(("office",), ("home",), ("hall",))
    for name in ("office", "home"):
        conditions.subnets[name].routed = True
    conditions.subnets["home"].nat = True
    assert conditions.find(1, conditions.hosts(0)[0]) == (0, conditions.hosts(1)[0])
    assert conditions.find(0, conditions.hosts(1)[0]) == (None, "timeout")
    assert conditions.find(2, conditions.hosts(0)[0]) == (None, "timeout")


def test_a_partition_and_a_cut_let_nothing_pass_until_they_are_healed() -> None:
    """Nodes of no group are together; a cut may be in one direction only."""
    conditions = _conditions(*[("lan",)] * 4)
    conditions.partition([[0], [1]])
    assert not conditions.passes(0, 1)
    assert not conditions.passes(0, 2)
    assert conditions.passes(2, 3)
    conditions.heal()
    conditions.cut(0, 1, one_way=True)
    assert not conditions.passes(0, 1)
    assert conditions.passes(1, 0)
    conditions.cut(2, 3)
    assert not conditions.passes(3, 2)
    conditions.mend(0, 1)
    conditions.mend(2, 3)
    assert all(conditions.passes(one, other) for one in range(4) for other in range(4))


def test_loss_holds_frames_up_as_tcp_does() -> None:
    """Nothing is lost on a connection: what would be comes later by the waits before it is sent again."""
    conditions = _conditions(("lan",), ("lan",))
    good = LinkQuality(latency_s=(0.01, 0.01), jitter=0.0)
    bad = LinkQuality(latency_s=(0.01, 0.01), jitter=0.0, loss=0.5)
    assert conditions.delay_s(good, 0.01, 100) == 0.01
    delays = [conditions.delay_s(bad, 0.01, 100) for _ in range(200)]
    assert min(delays) == 0.01
    assert max(delays) > 0.01 + RESEND_S


def test_a_link_may_have_a_quality_of_its_own() -> None:
    """It holds in both directions, until it is taken back."""
    conditions = _conditions(*[("lan",)] * 3)
    slow = LinkQuality(latency_s=(1.0, 1.0))
    conditions.set_link(0, 1, slow)
    assert conditions.between(1, 0) is slow
    assert conditions.between(0, 2) is conditions.quality
    conditions.set_link(0, 1, None)
    assert conditions.between(0, 1) is conditions.quality


def test_bandwidth_is_bounded_for_all_or_for_one() -> None:
    """A node needs its time to get a frame out."""
    conditions = _conditions(("lan",), ("lan",))
    assert conditions.send_s(0, 1000) == 0.0
    conditions.bandwidth_bytes_s = 10_000.0
    conditions.bandwidths[1] = 1_000.0
    assert conditions.send_s(0, 1000) == pytest.approx(0.1)
    assert conditions.send_s(1, 1000) == pytest.approx(1.0)
    conditions.reset()
    assert conditions.send_s(1, 1000) == 0.0


def test_the_line_into_a_single_node_may_be_thin() -> None:
    """What it takes in needs its time, which others do not; that is trouble, and over when all is made whole."""
    conditions = _conditions(("lan",), ("lan",))
    assert conditions.is_whole
    conditions.inward_bytes_s[1] = 1_000.0
    assert conditions.receive_s(1, 500) == pytest.approx(0.5)
    assert conditions.receive_s(0, 500) == 0.0
    assert not conditions.is_whole
    conditions.reset()
    assert conditions.receive_s(1, 500) == 0.0
    assert conditions.is_whole


def test_a_subnet_is_nothing_special_by_itself() -> None:
    """Without a word it is a plain local network."""
    subnet = Subnet(name="lan")
    assert not (subnet.routed or subnet.nat or subnet.rejects or subnet.gateway)
