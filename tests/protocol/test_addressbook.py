"""The address book: what may be dialled, who is next, and how long failures wait."""

from __future__ import annotations

import itertools
from random import Random

import pytest

from tests.support.fakelink import peer_of
from zmqchat.model.addresses import Endpoint
from zmqchat.model.config import Config
from zmqchat.model.ids import PeerId
from zmqchat.model.limits import CANDIDATES_MAX, ENDPOINTS_PER_PEER_MAX, PEERS_REMEMBERED_MAX
from zmqchat.protocol import addressbook
from zmqchat.protocol.addressbook import (
    HEARSAY_TRIES,
    HEARSAY_WAIT_S,
    LINK_HELD_S,
    NOTHING_TO_DIAL_S,
    SELF_WAIT_S,
    AddressBook,
    Target,
)

ANN, BOB, EVE = peer_of("ann"), peer_of("bob"), peer_of("eve")
HERE = Endpoint("10.0.0.1", 42100)
THERE = Endpoint("10.0.0.2", 42100)
CONFIG = Config()


def book() -> AddressBook:
    """An empty address book whose waits are the same each time."""
    return AddressBook(CONFIG, Random(1))


def due(made: AddressBook, now_s: float) -> list[Target]:
    """Who is to be dialled now, nobody being linked."""
    return made.due(now_s, ())[0]


def dial(made: AddressBook, now_s: float, most: int = 3) -> list[Endpoint]:
    """Take all endpoints that are to be dialled now."""
    return [
        endpoint for target in due(made, now_s) for endpoint in made.pick(target, most, lambda _endpoint: False, now_s)
    ]


def dial_times(made: AddressBook, peer: PeerId | None, place: Endpoint, until_s: float, since_s: float) -> list[float]:
    """When this endpoint of this peer is dialled, every dial failing at once."""
    times, now_s = [], since_s
    while now_s < until_s:
        for target in due(made, now_s):
            owner = target.peer if made.of_peer(target) else None
            for endpoint in made.pick(target, 3, lambda _endpoint: False, now_s):
                if (owner, endpoint) == (peer, place):
                    times.append(now_s)
                made.failed(endpoint, owner, "refused", now_s)
        next_s = made.due(now_s, ())[1]
        if next_s is None:
            break
        now_s = next_s
    return times


def gaps(times: list[float]) -> list[float]:
    """The waits between dials."""
    return [later - earlier for earlier, later in itertools.pairwise(times)]


# Waits ------------------------------------------------------------------------------------------------


def test_only_the_very_endpoint_is_known() -> None:
    """Another place, other ports at the place, or another peer there are news."""
    made = book()
    made.sighted(HERE, ANN, "exchange", 0.0)
    assert made.has(ANN, HERE)
    assert not made.has(ANN, THERE)
    assert not made.has(ANN, HERE._replace(direct=42101))
    assert not made.has(BOB, HERE)


def test_a_sighting_is_due_at_once() -> None:
    """What is seen for the first time is dialled without a wait."""
    made = book()
    assert made.sighted(THERE, BOB, "mdns", 5.0)
    assert dial(made, 5.0) == [THERE]
    assert due(made, 6.0) == [], "it is being dialled"


def test_a_lost_peer_is_redialled_fast_and_for_ten_minutes_at_most_four_seconds_apart() -> None:
    """Waits double from a tenth of a second to redial_max_s, jittered; after recent_s the peer counts as gone."""
    made = book()
    made.learned(BOB, THERE, [], "mdns")
    made.lost(BOB, 100.0)
    times = dial_times(made, BOB, THERE, 100.0 + CONFIG.recent_s, 100.0)
    assert 0.05 <= times[0] - 100.0 <= 0.15
    waits = gaps(times)
    assert 0.15 <= waits[0] <= 0.2
    assert max(waits) <= CONFIG.redial_max_s
    assert min(waits[8:]) >= 0.75 * CONFIG.redial_max_s
    assert len(set(waits[8:])) > 10, "waits vary"
    late = gaps(dial_times(made, BOB, THERE, 100.0 + 3 * 3_600, 100.0 + CONFIG.recent_s))
    assert 0.75 * CONFIG.redial_gone_max_s <= max(late) <= CONFIG.redial_gone_max_s


@pytest.mark.parametrize(("held_s", "waits_s"), [(1.0, CONFIG.redial_max_s), (LINK_HELD_S + 1.0, 0.15)])
def test_a_link_that_flaps_is_redialled_less_and_less_often(held_s: float, waits_s: float) -> None:
    """Each short link counts as a failed dial, up to redial_max_s; one that held for a while ends the count."""
    made = book()
    now_s, waits = 0.0, []
    for _ in range(10):
        made.learned(BOB, THERE, [], "mdns")
        made.linked(BOB, now_s)
        now_s += held_s
        made.lost(BOB, now_s)
        (target,) = (target for peer, target in made.peers() if peer == BOB)
        waits.append(target.due_s - now_s)
        now_s = target.due_s
    assert max(waits) <= waits_s
    assert waits[0] <= 0.2
    assert waits[-1] >= (0.75 * waits_s if held_s < LINK_HELD_S else 0.05)


def test_all_that_are_due_at_once_are_spread_by_their_number() -> None:
    """A hall that wakes does not dial in one fifth of a second; two machines do not wait for nothing."""
    spreads = []
    for number in (1, 16, 200):
        made = book()
        for index in range(number):
            made.sighted(THERE, peer_of(f"peer {index}"), "store", 0.0)
        for _peer, target in made.peers():
            target.due_s = 1_000.0
        made.all_due(100.0)
        spreads.append(max(target.due_s for _peer, target in made.peers()) - 100.0)
    assert spreads[0] <= 0.125 and 1.0 < spreads[1] <= 2.0 and 1.5 < spreads[2] <= 2.0


def test_a_stranger_waits_longer_each_time() -> None:
    """One second doubling to redial_gone_max_s."""
    made = book()
    made.sighted(THERE, None, "mdns", 0.0)
    waits = gaps(dial_times(made, None, THERE, 3_600.0, 0.0))
    assert 0.75 <= waits[0] <= 1.0
    assert 1.5 <= waits[1] <= 2.0
    assert max(waits) <= CONFIG.redial_gone_max_s


def test_a_configured_address_is_tried_for_ever() -> None:
    """--peer is dialled at most redial_max_s apart, however long nobody answers, and is not evicted."""
    made = book()
    made.sighted(THERE, None, "config", 0.0)
    times = dial_times(made, None, THERE, 5_000.0, 0.0)
    assert max(gaps(times)) <= CONFIG.redial_max_s
    for number in range(CANDIDATES_MAX + 100):
        made.sighted(Endpoint("10.1.0.0", number + 1), None, "mdns", 5_000.0)
    made.failed(THERE, None, "refused", 6_000.0)
    assert THERE in [target.endpoints[0] for target in due(made, 6_010.0)]
    made.forget(THERE)
    assert THERE not in [target.endpoints[0] for target in due(made, 6_010.0)]


def test_a_peer_that_is_configured_later_is_tried_as_one() -> None:
    """PEERID@HOST:PORT of a peer, and an address, that were known before."""
    made = book()
    made.sighted(THERE, BOB, "exchange", 0.0)
    made.sighted(THERE, BOB, "config", 0.0)
    made.sighted(HERE, None, "mdns", 0.0)
    made.sighted(HERE, None, "config", 0.0)
    assert max(gaps(dial_times(made, BOB, THERE, 1_000.0, 0.0))) <= CONFIG.redial_max_s
    assert max(gaps(dial_times(made, None, HERE, 2_000.0, 1_000.0))) <= CONFIG.redial_max_s


@pytest.mark.parametrize("ends", ["lost", "never linked"])
def test_a_configured_address_is_no_way_around_the_wait(ends: str) -> None:
    """A door that welcomes us and a link that fails each time are dialled less and less often, by whichever name."""
    made = book()
    made.sighted(THERE, None, "config", 0.0)
    waits, now_s = [], 0.0
    for _ in range(12):
        made.owned(THERE, BOB)
        made.learned(BOB, THERE, [], "config")
        if ends == "lost":
            made.linked(BOB, now_s)
            made.lost(BOB, now_s)
        else:
            made.never_linked(BOB, "timeout", now_s)
        next_s = min(target.due_s for target in due(made, now_s + 1_000.0))
        waits.append(next_s - now_s)
        now_s = next_s
    assert waits[0] < 0.5
    assert 0.75 * CONFIG.redial_max_s <= waits[-1] <= CONFIG.redial_max_s


def failed_often(made: AddressBook) -> None:
    """Bob was dialled in vain until the wait is long."""
    made.sighted(THERE, BOB, "mdns", 0.0)
    dial_times(made, BOB, THERE, 1_000.0, 0.0)


@pytest.mark.parametrize("how", ["mdns", "new endpoint", "interfaces"])
def test_waits_are_reset(how: str) -> None:
    """A sighting by our own means, a new address or a changed interface makes a peer due at once."""
    made = book()
    failed_often(made)
    assert not due(made, 1_000.3)
    if how == "mdns":
        made.sighted(THERE, BOB, "mdns", 1_000.0)
    elif how == "new endpoint":
        made.sighted(HERE, BOB, "exchange", 1_000.0)
    else:
        made.all_due(1_000.0)
    assert [target.peer for target in due(made, 1_000.3)] == [BOB]


def test_hearing_the_same_again_is_no_news() -> None:
    """Peer exchange repeats itself every minute: that resets nothing."""
    made = book()
    failed_often(made)
    assert not made.sighted(THERE, BOB, "exchange", 1_000.0)
    assert not due(made, 1_000.3)


def test_who_is_held_is_not_due_whatever_happens() -> None:
    """A penalty outlasts sightings, losses, failures and changed interfaces."""
    made = book()
    made.learned(BOB, THERE, [], "mdns")
    made.hold(BOB, 500.0)
    made.hold(BOB, 100.0)
    made.sighted(THERE, None, "mdns", 10.0)
    made.hold_endpoint(THERE, 500.0)
    made.lost(BOB, 10.0)
    made.sighted(HERE, BOB, "mdns", 11.0)
    made.sighted(THERE, None, "mdns", 11.0)
    made.failed(THERE, BOB, "refused", 12.0)
    made.failed(THERE, None, "refused", 12.0)
    made.all_due(13.0)
    assert not due(made, 499.9)
    assert len(due(made, 500.0)) == 2


def test_a_configured_address_is_held_with_the_peer_that_answered_there() -> None:
    """Whoever is penalised is not dialled by another way: the user's address leads to the same node."""
    made = book()
    made.sighted(THERE, None, "config", 0.0)
    made.owned(THERE, BOB)
    made.learned(BOB, THERE, [], "config")
    made.hold(BOB, 500.0)
    made.lost(BOB, 10.0)
    assert not due(made, 499.9)
    assert len(due(made, 500.0)) == 2


def test_facts_about_strangers_change_nothing() -> None:
    """A peer or an endpoint that the book does not hold can be lost, held, linked or fail."""
    made = book()
    made.lost(BOB, 1.0)
    made.hold(BOB, 1.0)
    made.hold_endpoint(THERE, 1.0)
    made.linked(BOB, 1.0)
    made.never_linked(BOB, "timeout", 1.0)
    made.failed(THERE, BOB, "refused", 1.0)
    made.failed(THERE, None, "refused", 1.0)
    made.forget(THERE)
    assert made.owned(THERE, BOB) is None
    assert not due(made, 10.0)


def test_our_own_address_is_left_alone_for_ten_minutes() -> None:
    """Neither a sighting nor a failure nor a changed interface dials it again before."""
    made = book()
    made.sighted(THERE, None, "config", 0.0)
    assert dial(made, 0.0) == [THERE]
    made.is_self(THERE, 0.0)
    made.failed(THERE, None, "self", 0.0)
    made.all_due(1.0)
    assert not made.sighted(THERE, None, "config", 2.0)
    assert not due(made, SELF_WAIT_S - 1)
    made.sighted(HERE, BOB, "mdns", 3.0)
    made.sighted(THERE, BOB, "exchange", 3.0)
    assert dial(made, 3.0) == [HERE], "nor is it dialled as somebody else's"
    assert due(made, SELF_WAIT_S + 1)


def test_our_own_addresses_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest of too many is forgotten."""
    monkeypatch.setattr(addressbook, "CANDIDATES_MAX", 2)
    made = book()
    for number in range(3):
        made.is_self(Endpoint("10.0.0.1", number), 0.0)
    assert made.sighted(Endpoint("10.0.0.1", 0), None, "mdns", 1.0)
    assert not made.sighted(Endpoint("10.0.0.1", 2), None, "mdns", 1.0)


# Endpoints ----------------------------------------------------------------------------------------------


def test_what_worked_goes_first_and_eight_are_kept() -> None:
    """The endpoint of a session is at the head, what the peer told after it."""
    made = book()
    told = [Endpoint("10.0.1.1", port, 1, 2) for port in range(1, 20)]
    target = made.learned(BOB, THERE, told, "mdns")
    assert target.endpoints[0] == THERE
    assert len(target.endpoints) == ENDPOINTS_PER_PEER_MAX
    worked = Endpoint("10.0.1.1", 3, 7, 8)
    assert made.learned(BOB, worked, [], "mdns").endpoints[:2] == [worked, THERE]
    assert made.of(BOB) is target
    assert dict(made.peers()) == {BOB: target}


def test_ports_that_become_known_complete_an_endpoint() -> None:
    """A door alone is completed by direct and feed, and does not lose them again."""
    made = book()
    made.sighted(THERE, BOB, "mdns", 0.0)
    full = THERE._replace(direct=1, feed=2)
    made.sighted(full, BOB, "exchange", 0.0)
    made.sighted(THERE, BOB, "mdns", 0.0)
    target = made.of(BOB)
    assert target is not None
    assert target.endpoints == [full]


def test_hearsay_is_dialled_three_times_and_then_once_a_minute() -> None:
    """An address that only others told of costs a third party next to nothing."""
    made = book()
    made.learned(BOB, THERE, [HERE], "mdns")
    made.lost(BOB, 0.0)
    times = dial_times(made, BOB, HERE, 600.0, 0.0)
    assert min(gaps(times)[HEARSAY_TRIES - 1 :]) >= HEARSAY_WAIT_S
    assert len(times) <= HEARSAY_TRIES + 600.0 / HEARSAY_WAIT_S


def test_what_we_found_ourselves_is_no_hearsay() -> None:
    """Once discovery shows the address, or it has worked, it is dialled like any other."""
    for prove in ("mdns", "worked"):
        made = book()
        made.sighted(HERE, BOB, "exchange", 0.0)
        dial_times(made, BOB, HERE, 30.0, 0.0)
        if prove == "mdns":
            made.sighted(HERE, BOB, "mdns", 30.0)
        else:
            made.learned(BOB, HERE, [], "hello")
        made.lost(BOB, 30.0)
        assert len(dial_times(made, BOB, HERE, 90.0, 30.0)) > 10


def test_a_target_without_a_place_to_dial_waits_a_little() -> None:
    """Our own addresses among a peer's are skipped, and a target of nothing else is looked at again later."""
    made = book()
    made.sighted(THERE, BOB, "mdns", 0.0)
    [target] = due(made, 0.0)
    assert made.pick(target, 3, lambda _endpoint: True, 0.0) == []
    assert made.due(0.0, ()) == ([], NOTHING_TO_DIAL_S)


def test_one_place_is_dialled_once_at_a_time() -> None:
    """A configured address and the peer that was found there are not both dialled."""
    made = book()
    made.sighted(THERE, None, "config", 0.0)
    made.sighted(THERE, BOB, "mdns", 0.0)
    assert dial(made, 0.0) == [THERE]
    assert dial(made, 60.0) == []


def test_several_endpoints_take_turns() -> None:
    """At most so many at once, the rest in the next round."""
    made = book()
    places = [Endpoint("10.0.1.1", port) for port in range(1, 6)]
    for place in places:
        made.sighted(place, BOB, "mdns", 0.0)
    first = dial(made, 0.0, most=3)
    assert len(first) == 3
    for place in first:
        made.failed(place, BOB, "refused", 0.0)
    second = dial(made, 10.0, most=3)
    assert set(first) | set(second) == set(places)


def test_a_round_ends_with_its_last_dial() -> None:
    """The wait begins when all endpoints of a round have failed."""
    made = book()
    made.sighted(HERE, BOB, "mdns", 0.0)
    made.sighted(THERE, BOB, "mdns", 0.0)
    assert len(dial(made, 0.0)) == 2
    made.failed(HERE, BOB, "refused", 0.0)
    assert made.due(100.0, ()) == ([], None)
    made.failed(THERE, BOB, "timeout", 2.0)
    target = made.of(BOB)
    assert target is not None
    assert target.failures == 1
    assert target.last_error == "timeout"


def test_a_bare_endpoint_becomes_a_peer_unless_it_is_configured() -> None:
    """Who answered owns it; what the user configured stays, for whoever answers there later."""
    made = book()
    made.sighted(HERE, None, "mdns", 0.0)
    made.sighted(THERE, None, "config", 0.0)
    assert made.owned(HERE, BOB) == "mdns"
    assert made.owned(THERE, EVE) == "config"
    assert [target.endpoints for target in due(made, 1.0)] == [[THERE]]
    assert made.due(1.0, {EVE}) == ([], None)
    [target] = due(made, 1.0)
    assert not made.of_peer(target)


def test_who_is_in_session_is_not_dialled() -> None:
    """Sessions are named by the caller; a link clears what was last told of its peer."""
    made = book()
    made.sighted(THERE, BOB, "mdns", 0.0)
    made.failed(THERE, BOB, "refused", 0.0)
    made.linked(BOB, 1.0)
    target = made.of(BOB)
    assert target is not None
    assert target.last_error == ""
    assert made.due(10.0, {BOB}) == ([], None)
    assert made.of_peer(target)


def test_a_session_that_never_linked_counts_as_a_failure() -> None:
    """It waits as after a failed dial."""
    made = book()
    made.learned(BOB, THERE, [], "hello")
    made.never_linked(BOB, "no link: timeout", 0.0)
    target = made.of(BOB)
    assert target is not None
    assert (target.failures, target.last_error) == (1, "no link: timeout")
    assert 0.75 <= target.due_s <= 1.0


# Bounds -------------------------------------------------------------------------------------------------


def test_known_peers_come_before_strangers() -> None:
    """However many services are announced, who was linked, stored or configured is dialled first."""
    made = book()
    for number in range(1_000):
        made.sighted(Endpoint("10.1.0.0", number + 1), peer_of(f"fake {number}"), "exchange", 0.0)
    made.learned(BOB, THERE, [], "mdns")
    made.lost(BOB, 5.0)
    made.sighted(HERE, EVE, "store", 6.0)
    assert [target.peer for target in due(made, 7.0)][:2] == [BOB, EVE]


def test_made_up_targets_are_bounded_and_never_push_out_the_known() -> None:
    """A hundred thousand sightings keep the tables within their bounds, and who we know in them."""
    made = book()
    made.learned(BOB, THERE, [], "mdns")
    made.sighted(HERE, EVE, "config", 0.0)
    made.learned(ANN, HERE, [], "mdns")
    made.lost(ANN, 0.0)
    for number in range(20_000):
        fake = PeerId(number.to_bytes(32, "big"))
        made.sighted(Endpoint(f"10.{number >> 16}.0.1", number % 65_535 + 1), fake, "exchange", 1.0)
        made.sighted(Endpoint(f"10.{number >> 16}.0.1", number % 65_535 + 1), None, "mdns", 1.0)
    known = dict(made.peers())
    assert len(known) <= PEERS_REMEMBERED_MAX + CANDIDATES_MAX
    assert {BOB, EVE, ANN} <= set(known)
    assert len(due(made, 2.0)) <= PEERS_REMEMBERED_MAX + 2 * CANDIDATES_MAX


def test_peers_that_linked_once_are_bounded_too() -> None:
    """An attacker who links with ten thousand identities in turn is forgotten again."""
    made = book()
    for number in range(10_000):
        fake = PeerId(number.to_bytes(32, "big"))
        made.learned(fake, Endpoint("10.1.0.1", number % 65_535 + 1), [], "hello")
        made.lost(fake, float(number))
    assert len(dict(made.peers())) <= PEERS_REMEMBERED_MAX + CANDIDATES_MAX


def test_nothing_goes_where_everything_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of configured addresses alone grows rather than forget one."""
    monkeypatch.setattr(addressbook, "CANDIDATES_MAX", 2)
    made = book()
    for port in (1, 2, 3):
        made.sighted(Endpoint("10.0.0.1", port), None, "config", 0.0)
    assert len(due(made, 1.0)) == 3
