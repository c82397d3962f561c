"""The views: how many of whom, and who gives way to whom."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fakelink import peer_of
from zmqchat.model.addresses import Endpoint
from zmqchat.model.config import Config
from zmqchat.model.ids import PeerId
from zmqchat.protocol.views import (
    ActiveView,
    Allowance,
    Linked,
    PassiveView,
    Shape,
    Standing,
    contacts_allowance,
    subnet_of,
)
from zmqchat.wire.overlay_frames import Contact


def contact(number: int, subnet: int = 0) -> Contact:
    """A peer of this number somewhere in this subnet."""
    return Contact(peer_of(f"contact {number}"), (Endpoint(f"10.0.{subnet}.{number % 200 + 1}", 42100, 1, 2),))


def active(*subnets: str, shape: Shape | None = None) -> ActiveView:
    """A view with a neighbour of each of these subnets."""
    view = ActiveView(shape or Shape.of(Config()), Random(1))
    for number, subnet in enumerate(subnets):
        view.links[peer_of(f"contact {number}")] = Linked(
            subnet, (), False, True, Standing.NEIGHBOUR, contacts_allowance(30.0)
        )
    return view


def test_the_shape_of_a_node_follows_from_one_number() -> None:
    """Eight links: 6 to 12, four visitors, 48 in reserve; three: 2 to 4, one visitor."""
    assert Shape.of(Config()) == Shape(wanted=8, least=6, most=12, visitors=4, passive=48)
    assert Shape.of(replace(Config(), neighbours=3)) == Shape(wanted=3, least=2, most=4, visitors=1, passive=18)


def test_an_allowance_is_a_burst_and_then_a_rate() -> None:
    """Two a second for four seconds: eight at once, then one each half second."""
    allowance = Allowance(2.0)
    assert [allowance.take(10.0) for _ in range(9)] == [True] * 8 + [False]
    assert [allowance.take(10.5), allowance.take(10.5)] == [True, False]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.168.1.7", "192.168.1.200", True),
        ("192.168.1.7", "192.168.2.7", False),
        ("::ffff:192.168.1.7", "192.168.1.9", True),
        ("2001:db8:1:1::1", "2001:db8:1:ffff::1", True),
        ("2001:db8:1::1", "2001:db8:2::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("host.example", "other.example", False),
    ],
)
def test_a_subnet_is_what_one_attacker_has_cheaply(one: str, other: str, same: bool) -> None:
    """An IPv4 /24 and an IPv6 /48 count as one place; a mapped address is the IPv4 one."""
    assert (subnet_of(one) == subnet_of(other)) is same


def test_one_subnet_has_at_most_half_of_the_links_where_there_are_others() -> None:
    """Six of twelve are enough as soon as another subnet is known, as link or in reserve; alone it may have all."""
    assert not active(*["a"] * 12).is_crowded("a", ["a"])
    assert active(*["a"] * 6).is_crowded("a", ["a", "b"])
    assert active(*["a"] * 6, "b").is_crowded("a", [])
    assert not active(*["a"] * 5, "b").is_crowded("a", ["b"])
    assert not active(*["a"] * 6, "b").is_crowded("b", [])


def test_who_gives_way_is_of_the_subnet_that_has_too_much() -> None:
    """Of seven in one subnet and two elsewhere one of the seven goes; a named subnet gives one of its own."""
    view = active(*["a"] * 7, "b", "c")
    for _ in range(20):
        victim = view.victim((), keep=None, of_subnet=None)
        assert victim is not None
        assert view.links[victim].subnet == "a"
    assert view.victim((), keep=None, of_subnet="c") == peer_of("contact 8")
    assert view.victim((), keep=peer_of("contact 8"), of_subnet="c") is None


def test_who_can_not_be_dialled_gives_way_last() -> None:
    """Such a link can't be had back: another one goes, as long as there is one."""
    view = active("a", "a", "a")
    undiallable = {peer_of("contact 0"), peer_of("contact 1")}
    assert {view.victim(undiallable, keep=None, of_subnet=None) for _ in range(20)} == {peer_of("contact 2")}
    assert view.victim(undiallable, keep=peer_of("contact 2"), of_subnet=None) in undiallable


def test_links_with_other_standings_are_no_neighbours() -> None:
    """Only neighbours count, are drawn and give way."""
    view = active("a", "a")
    view.links[peer_of("contact 0")].standing = Standing.VISITOR
    assert view.neighbours == [peer_of("contact 1")]
    assert view.random((peer_of("contact 1"),)) is None
    assert view.victim((), keep=peer_of("contact 1"), of_subnet=None) is None


def test_one_teller_fills_a_quarter_of_the_reserve() -> None:
    """A thousand contacts of one liar replace each other; what others told stays."""
    view = PassiveView(48, Random(1))
    for number in range(12):
        view.add(contact(number, number), peer_of("friend"))
    for number in range(100, 1_100):
        view.add(contact(number, number % 250), peer_of("liar"))
    assert len(view) == 24
    assert all(contact(number).peer in view for number in range(12))


def test_one_subnet_loses_what_is_over_half_of_the_reserve() -> None:
    """Two hundred identities of one subnet, told by many, leave the others their half."""
    view = PassiveView(48, Random(1))
    for number in range(24):
        view.add(contact(number, number + 1), peer_of(f"friend {number % 4}"))
    for number in range(100, 300):
        view.add(contact(number, 0), peer_of(f"teller {number}"))
    assert len(view) == 48
    assert sum(contact(number).peer in view for number in range(24)) >= 23


def test_what_was_sent_in_exchange_gives_way_first() -> None:
    """A full reserve drops the entries that the other side has now."""
    view = PassiveView(8, Random(1))
    for number in range(8):
        view.add(contact(number, number), peer_of(f"friend {number}"))
    view.add(contact(20, 20), peer_of("x"), sent=(contact(3).peer,))
    assert contact(3).peer not in view
    assert len(view) == 8


def test_a_contact_without_an_endpoint_is_not_kept() -> None:
    """Who can't be dialled is no reserve."""
    view = PassiveView(8, Random(1))
    view.add(Contact(peer_of("x"), ()), peer_of("y"))
    assert len(view) == 0


def test_held_engaged_and_crowded_contacts_are_not_picked() -> None:
    """What was refused lately waits; who is linked and whose subnet has enough is passed over."""
    view = PassiveView(8, Random(1))
    for number in range(3):
        view.add(contact(number, number), peer_of(f"friend {number}"))
        view.add(contact(number + 10, 10), peer_of(f"other {number}"))
    view.hold(contact(0).peer, 60.0)
    for _ in range(20):
        picked = view.pick(59.0, {contact(1).peer}, {subnet_of("10.0.10.1")})
        assert picked == contact(2, 2)
    assert view.pick(60.0, {contact(1).peer, contact(2).peer}, {subnet_of("10.0.10.1")}) == contact(0, 0)
    view.remove(contact(0).peer)
    assert view.pick(60.0, {contact(1).peer, contact(2).peer}, {subnet_of("10.0.10.1")}) is None


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 3), st.integers(0, 9), st.booleans()), max_size=200))
def test_the_reserve_stays_within_its_bounds(steps: list[tuple[int, int, int, bool]]) -> None:
    """Whatever is added and removed: no more than it holds, no more than a quarter from one teller, nothing twice."""
    view = PassiveView(16, Random(2))
    tellers: dict[PeerId, PeerId] = {}
    for number, subnet, teller, is_added in steps:
        entry = contact(number, subnet)
        if is_added:
            if entry.peer not in view:
                tellers[entry.peer] = peer_of(f"teller {teller}")
            view.add(entry, peer_of(f"teller {teller}"), sent=(contact(number + 1).peer,))
        else:
            view.remove(entry.peer)
        kept = list(view)
        assert len(kept) == len(set(kept)) <= 16
        told = [tellers[peer] for peer in kept]
        assert all(told.count(teller) <= 4 for teller in told)
    assert len(view.sample(5)) == min(5, len(view))
