"""Admission: who may have a link, both sides of the door, and all that must not pass it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.doors import (
    ANN,
    BOB,
    EVE,
    FULL_PLACE,
    LATER,
    MINE,
    NOW,
    THEIRS,
    answers,
    dial,
    ended,
    feed,
    hello,
    kinds,
    knock,
    machine,
    refusal,
    refused,
    welcome,
)
from tests.support.fakelink import peer_of
from zmqchat.crypto.twin import TwinCrypto
from zmqchat.model.addresses import Endpoint
from zmqchat.model.ids import PeerId, mesh_id
from zmqchat.model.limits import DOOR_FRAMES_PER_S_MAX, ENDPOINTS_PER_PEER_MAX, PEERS_LIVE_MAX
from zmqchat.protocol import admission
from zmqchat.protocol.admission import (
    CALLERS_PER_PROBE_MAX,
    PROBES_AT_ONCE_MAX,
    WELCOME_LABEL,
    Admission,
)
from zmqchat.protocol.effects import Admit, AnswerDoor, CloseDoor, IdentityShared
from zmqchat.protocol.facts import (
    DialFailed,
    DoorAnswered,
    EndpointsChanged,
    Instant,
    StopRequested,
    TimerFired,
)
from zmqchat.protocol.machine import (
    PeerLinked,
    PeerPenalised,
    ProbeAnswered,
    ProbeWanted,
    SendFrame,
    SessionEnded,
    SessionReplaced,
    Welcomed,
)
from zmqchat.wire.frames import Duplicate, Hello, Ping, Refused, Welcome, decode, encode, signed_part

# As answerer ------------------------------------------------------------------------------------------


def test_hello_is_answered_by_a_signed_welcome() -> None:
    """The caller is admitted before the answer goes out, and the session begins with what HELLO told."""
    out = knock(machine(), hello())
    assert kinds(out) == [Admit, AnswerDoor, Welcomed]
    [frame] = answers(out)
    assert isinstance(frame, Welcome)
    assert (frame.peer, frame.hello_instance, frame.instance, frame.version) == (ANN, THEIRS, MINE, 1)
    assert frame.observed == "10.0.0.2"
    assert TwinCrypto(EVE).verify(ANN, WELCOME_LABEL, BOB + signed_part(frame), frame.signature)
    [session] = [item for item in out if isinstance(item, Welcomed)]
    assert (session.peer, session.dialled, session.instance) == (BOB, False, THEIRS)
    assert session.endpoint == FULL_PLACE


@pytest.mark.parametrize(
    ("frame", "key", "reason"),
    [
        (hello(ANN, MINE), ANN, "self"),
        (hello(ANN, THEIRS), ANN, "duplicate"),
        (hello(ANN, THEIRS), EVE, "identity"),
        (hello(EVE), BOB, "identity"),
        (hello(PeerId(BOB[:31] + bytes([BOB[31] | 0x80]))), BOB, "identity"),
        (hello(PeerId(b"\xff" * 32)), BOB, "identity"),
        (hello(mesh=mesh_id("other")), BOB, "mesh"),
        (hello(versions=(7, 9)), BOB, "version"),
        (hello(versions=()), BOB, "version"),
    ],
)
def test_each_refusal_is_one_signed_answer(frame: Hello, key: bytes, reason: str) -> None:
    """Whoever may not have a link is told why, once, and leaves nothing behind."""
    made = machine()
    assert refusal(knock(made, frame, key=key), frame.peer) == reason
    assert made.refusals == {reason: 1}
    assert kinds(knock(made, hello(EVE))) == [Admit, AnswerDoor, Welcomed]


def test_a_refusal_of_versions_names_both() -> None:
    """The person who reads it learns which of the two nodes is the older one."""
    [frame] = answers(knock(machine(versions=(2, 3)), hello(versions=(4, 1))))
    assert isinstance(frame, Refused)
    assert frame.versions == (2, 3)
    assert "1, 4" in frame.detail
    assert "2, 3" in frame.detail


def test_the_highest_shared_version_is_taken() -> None:
    """An older and a newer node speak what both know."""
    [frame] = answers(knock(machine(versions=(1, 2, 3)), hello(versions=(2, 1, 9))))
    assert isinstance(frame, Welcome)
    assert frame.version == 2


def test_a_hello_with_a_made_up_field_is_welcome() -> None:
    """What a newer version appends to HELLO is skipped."""
    raw = encode(hello())
    assert raw[1] == 0x98
    [frame] = answers(knock(machine(), raw[:1] + b"\x99" + raw[2:] + b"\xa3new"))
    assert isinstance(frame, Welcome)


def test_our_own_id_elsewhere_is_told() -> None:
    """A second node with our identity is refused, and our user is told."""
    out = knock(machine(), hello(ANN, THEIRS), key=ANN)
    assert [item for item in out if isinstance(item, IdentityShared)] == [IdentityShared(peer=ANN, ours=True)]


@pytest.mark.parametrize("payload", [b"", b"\x01", b"\xff\xff", encode(Ping(token=1, wall_ms=1)), b"\x63new"])
def test_what_is_no_hello_is_counted_and_dropped(payload: bytes) -> None:
    """Bytes that are no HELLO cost a count and nothing else."""
    made = machine()
    assert knock(made, payload) == []
    assert made.refusals == {"malformed": 1}


def test_a_flood_of_hellos_is_bounded() -> None:
    """A thousand at one moment get at most two seconds' worth of answers; the next second has its own."""
    made = machine()
    out: list[object] = []
    for number in range(1_000):
        out += knock(made, hello(peer_of(f"flood {number}")))
    assert len(answers(out)) == 2 * DOOR_FRAMES_PER_S_MAX
    assert made.refusals == {"rate": 1_000 - 2 * DOOR_FRAMES_PER_S_MAX}
    later = Instant(NOW.now_s + 1.0, NOW.wall_ms)
    assert kinds(knock(made, hello(), at=later)) == [Admit, AnswerDoor, Welcomed]


def test_a_node_with_all_its_links_refuses_strangers_and_knows_its_own() -> None:
    """FULL counts links; a peer that is linked may knock again."""
    made = machine()
    for number in range(PEERS_LIVE_MAX):
        feed(made, PeerLinked(peer=peer_of(f"peer {number}"), store=bytes(16), generation=1))
    assert refusal(knock(made, hello())) == "full"
    assert kinds(knock(made, hello(peer_of("peer 7")))) == [ProbeWanted]
    feed(made, SessionEnded(peer=peer_of("peer 3"), reason="lost"))
    assert kinds(knock(made, hello())) == [Admit, AnswerDoor, Welcomed]


def test_a_penalised_peer_is_refused_until_its_time_is_up() -> None:
    """Too many faults close the door for a while, and then it opens again."""
    made = machine()
    feed(made, PeerPenalised(peer=BOB, until_s=NOW.now_s + 30))
    assert refusal(knock(made, hello())) == "penalty"
    after = Instant(NOW.now_s + 31, NOW.wall_ms)
    assert kinds(knock(made, hello(), at=after)) == [Admit, AnswerDoor, Welcomed]


def test_penalties_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Identities are free, so old penalties give way to new ones."""
    monkeypatch.setattr(admission, "PENALISED_MAX", 2)
    made = machine()
    for peer in (BOB, EVE, peer_of("dan")):
        feed(made, PeerPenalised(peer=peer, until_s=NOW.now_s + 30))
    assert kinds(knock(made, hello(BOB))) == [Admit, AnswerDoor, Welcomed]
    assert refusal(knock(made, hello(EVE)), EVE) == "penalty"


def test_a_stopping_node_begins_no_session() -> None:
    """Between BYE and the end of the sockets nobody is let in."""
    made = machine()
    feed(made, StopRequested())
    assert refusal(knock(made, hello())) == "stopping"


def test_eight_endpoints_are_kept() -> None:
    """Of a HELLO that names many addresses the first eight count."""
    many = tuple(Endpoint("10.1.0.1", port, 1, 1) for port in range(1, 100))
    [session] = [item for item in knock(machine(), hello(endpoints=many)) if isinstance(item, Welcomed)]
    assert session.told == many[:ENDPOINTS_PER_PEER_MAX]


def test_a_hello_without_endpoints_begins_a_session() -> None:
    """Who tells no address can't be dialled, but may dial."""
    [session] = [item for item in knock(machine(), hello(endpoints=())) if isinstance(item, Welcomed)]
    assert session.endpoint == Endpoint("10.0.0.2", 0)


def test_our_ports_are_told_though_we_have_no_address() -> None:
    """With every interface down a caller over the loopback still learns direct and feed."""
    made = machine()
    feed(made, EndpointsChanged(endpoints=()))
    [frame] = answers(knock(made, hello()))
    assert isinstance(frame, Welcome)
    assert frame.endpoints == (Endpoint("", 42100, 42101, 42102),)


# Two instances of one id ---------------------------------------------------------------------------------


def probing() -> tuple[Admission, list[object]]:
    """An admission with a live session of bob, at whose door bob knocks as another instance."""
    made = machine()
    knock(made, hello())
    return made, knock(made, hello(instance=LATER))


def linked_again() -> Admission:
    """An admission with a link to bob, at whose door bob knocks though it has not restarted."""
    made = machine()
    knock(made, hello())
    feed(made, PeerLinked(peer=BOB, store=bytes(16), generation=1))
    assert kinds(knock(made, hello())) == [ProbeWanted]
    return made


def probe_timer() -> TimerFired:
    """The time of the probe of bob is up."""
    return TimerFired(name=("admission", "probe", BOB))


def test_a_known_id_with_a_new_instance_is_probed_first() -> None:
    """Nothing is answered while the old session may still say something."""
    _, out = probing()
    assert kinds(out) == [ProbeWanted]


def test_a_linked_peer_that_knocks_and_does_not_answer_over_the_link_gets_a_new_session() -> None:
    """Its address changed or its cable was out: it has noticed, we have not."""
    assert kinds(feed(linked_again(), probe_timer())) == [SessionReplaced, Admit, AnswerDoor, Welcomed]


def test_a_linked_peer_that_answers_over_the_link_keeps_its_session() -> None:
    """It had dialled several of our addresses: no duplicate, no new link."""
    out = feed(linked_again(), ProbeAnswered(peer=BOB))
    assert kinds(out) == [Admit, AnswerDoor, Welcomed]


def test_a_silent_old_session_is_replaced() -> None:
    """A restart: after the probe's time the new instance is welcomed in place of the old one."""
    made, _ = probing()
    out = feed(made, probe_timer())
    assert kinds(out) == [SessionReplaced, Admit, AnswerDoor, Welcomed]
    assert feed(made, probe_timer()) == []


def test_an_old_session_that_ends_makes_room_at_once() -> None:
    """Where the old connection is seen to close nobody waits for the rest of the probe."""
    made, _ = probing()
    out = feed(made, SessionEnded(peer=BOB, reason="lost"))
    assert kinds(out) == [Admit, AnswerDoor, Welcomed]
    assert feed(made, ProbeAnswered(peer=BOB)) == []


def test_an_answered_probe_is_a_duplicate() -> None:
    """Two live nodes with one identity: the new one is refused, the old one and our user are told."""
    made, _ = probing()
    out = feed(made, ProbeAnswered(peer=BOB))
    assert refusal(out) == "duplicate"
    assert [item for item in out if isinstance(item, IdentityShared)] == [IdentityShared(peer=BOB, ours=False)]
    [told] = [decode(item.payload) for item in out if isinstance(item, SendFrame)]
    assert told == Duplicate(instance=LATER)
    assert feed(made, probe_timer()) == []


def test_a_node_that_is_told_of_its_duplicate_tells_its_user() -> None:
    """DUPLICATE over a link names the other instance; our own instance is nobody else."""
    made = machine()
    made.frames[Duplicate](EVE, Duplicate(instance=THEIRS), NOW)
    assert made.outbox == [IdentityShared(peer=ANN, ours=True)]
    made.outbox = []
    made.frames[Duplicate](EVE, Duplicate(instance=MINE), NOW)
    assert made.outbox == []


def test_all_callers_of_a_probe_are_answered() -> None:
    """A node that dials several of our addresses gets an answer at each, up to a bound."""
    made, _ = probing()
    for number in range(1, CALLERS_PER_PROBE_MAX):
        assert knock(made, hello(instance=LATER), routing=b"r%d" % number) == []
    assert refusal(knock(made, hello(instance=LATER))) == "busy"
    out = feed(made, probe_timer())
    assert [type(frame) for frame in answers(out)] == [Welcome] * CALLERS_PER_PROBE_MAX
    assert kinds(out).count(SessionReplaced) == 1


def test_a_third_instance_waits_its_turn() -> None:
    """While one new instance is probed another one of the same id is busy."""
    made, _ = probing()
    assert refusal(knock(made, hello(instance=b"3" * 16))) == "busy"


def test_probes_are_bounded() -> None:
    """A building that restarts at once is told to try again."""
    made = machine()
    out: list[object] = []
    for number in range(PROBES_AT_ONCE_MAX + 1):
        at = Instant(NOW.now_s + number, NOW.wall_ms)
        knock(made, hello(peer_of(f"peer {number}")), at=at)
        out = knock(made, hello(peer_of(f"peer {number}"), LATER), at=at)
    assert refusal(out, peer_of(f"peer {PROBES_AT_ONCE_MAX}")) == "busy"


def test_whoever_waited_may_be_refused_after_all() -> None:
    """What changed during the probe counts: a node that stops meanwhile lets nobody in."""
    made, _ = probing()
    feed(made, StopRequested())
    assert refusal(feed(made, probe_timer())) == "stopping"


def test_the_same_instance_may_knock_again() -> None:
    """A redial of a live session is welcomed at once and replaces nothing."""
    made = machine()
    knock(made, hello())
    assert kinds(knock(made, hello())) == [Admit, AnswerDoor, Welcomed]


# As caller ----------------------------------------------------------------------------------------------


def test_a_welcome_begins_a_session() -> None:
    """The endpoint that answered is kept, with the ports that WELCOME told for it."""
    made = machine()
    number, sent = dial(made)
    out = feed(made, DoorAnswered(dial=number, payload=encode(welcome(sent))))
    assert kinds(out) == [CloseDoor, Admit, Welcomed]
    [session] = [item for item in out if isinstance(item, Welcomed)]
    assert (session.peer, session.dialled, session.endpoint) == (BOB, True, FULL_PLACE)
    assert made.dials_free == 4


def test_ports_behind_a_forwarded_door_are_the_first_told() -> None:
    """Where the dialled port is none that the peer knows of, its first endpoint names direct and feed."""
    made = machine()
    number, sent = dial(made, place=Endpoint("192.0.2.1", 9))
    out = feed(made, DoorAnswered(dial=number, payload=encode(welcome(sent))))
    [session] = [item for item in out if isinstance(item, Welcomed)]
    assert session.endpoint == Endpoint("192.0.2.1", 9, 42101, 42102)
    number, sent = dial(made, place=Endpoint("192.0.2.1", 9))
    out = feed(made, DoorAnswered(dial=number, payload=encode(welcome(sent, endpoints=()))))
    [session] = [item for item in out if isinstance(item, Welcomed)]
    assert session.endpoint == Endpoint("192.0.2.1", 9, 0, 0)


def test_hello_names_eight_of_our_endpoints() -> None:
    """However many addresses this machine has, HELLO fits the door's frame."""
    made = machine()
    many = tuple(Endpoint(f"fe80::{number}%{'i' * 15}", 42100, 42101, 42102) for number in range(1, 50))
    feed(made, EndpointsChanged(endpoints=many))
    _, sent = dial(made)
    assert sent.endpoints == many[:ENDPOINTS_PER_PEER_MAX]


@pytest.mark.parametrize("how", ["unsigned", "other nonce", "other caller", "altered", "invalid id", "another's id"])
def test_answers_that_do_not_verify_are_ignored(how: str) -> None:
    """Replayed, redirected or altered answers change nothing: the dial waits for the true one."""
    made = machine()
    number, sent = dial(made)
    good = welcome(sent)
    bad = {
        "unsigned": replace(good, signature=bytes(64)),
        "other nonce": welcome(replace(sent, instance=LATER)),
        "other caller": welcome(replace(sent, peer=EVE)),
        "altered": replace(good, endpoints=(Endpoint("203.0.113.1", 1, 2, 3),)),
        "invalid id": welcome(sent, PeerId(b"\xff" * 32)),
        "another's id": replace(good, peer=EVE),
    }[how]
    assert feed(made, DoorAnswered(dial=number, payload=encode(bad))) == []
    assert sum(made.refusals.values()) == 1
    no = replace(refused(sent, "mesh"), signature=bytes(64))
    assert feed(made, DoorAnswered(dial=number, payload=encode(no))) == []
    assert kinds(feed(made, DoorAnswered(dial=number, payload=encode(good)))) == [CloseDoor, Admit, Welcomed]


def test_an_answer_to_an_earlier_dial_is_ignored() -> None:
    """A dial that ended hears nothing more."""
    made = machine()
    number, sent = dial(made)
    feed(made, DialFailed(dial=number, reason="refused"))
    assert feed(made, DoorAnswered(dial=number, payload=encode(welcome(sent)))) == []
    assert feed(made, DialFailed(dial=number, reason="refused")) == []


@pytest.mark.parametrize("reason", ["self", "identity", "mesh", "version", "full", "penalty", "busy", "made up"])
def test_a_refused_dial_ends_with_its_reason(reason: str) -> None:
    """What the door said reaches the link machine."""
    made = machine()
    number, sent = dial(made)
    fact = ended(feed(made, DoorAnswered(dial=number, payload=encode(refused(sent, reason)))))
    assert (fact.reason, fact.peer, fact.detail) == (reason, BOB, "because")


def test_a_refusal_as_duplicate_is_told() -> None:
    """The user of a copied home learns it from whoever linked the other copy."""
    made = machine()
    number, sent = dial(made)
    out = feed(made, DoorAnswered(dial=number, payload=encode(refused(sent, "duplicate"))))
    assert IdentityShared(peer=ANN, ours=True) in out


def test_what_a_refusal_says_is_cleaned() -> None:
    """Control characters of a stranger's door reach no terminal."""
    made = machine()
    number, sent = dial(made)
    fact = ended(feed(made, DoorAnswered(dial=number, payload=encode(refused(sent, "\x1b[2J")))))
    assert "\x1b" not in fact.reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"version": 9}, "version"), ({"peer": ANN}, "self"), ({"peer": EVE}, "identity")],
)
def test_a_welcome_that_does_not_fit_ends_the_dial(changes: dict[str, object], reason: str) -> None:
    """A version that we do not speak, ourselves, or another peer than expected."""
    made = machine()
    number, sent = dial(made, expected=BOB)
    answer = welcome(sent, **changes)  # type: ignore[arg-type]  # any field of Welcome
    assert ended(feed(made, DoorAnswered(dial=number, payload=encode(answer)))).reason == reason


def test_a_penalised_or_superfluous_peer_is_not_linked_by_our_own_dial() -> None:
    """The bounds of the door hold where we are the caller too."""
    made = machine()
    feed(made, PeerPenalised(peer=BOB, until_s=NOW.now_s + 30))
    number, sent = dial(made)
    assert ended(feed(made, DoorAnswered(dial=number, payload=encode(welcome(sent))))).reason == "penalty"
    for other in range(PEERS_LIVE_MAX):
        feed(made, PeerLinked(peer=peer_of(f"peer {other}"), store=bytes(16), generation=1))
    number, sent = dial(made)
    assert ended(feed(made, DoorAnswered(dial=number, payload=encode(welcome(sent, EVE))))).reason == "full"


def test_malformed_and_unexpected_answers() -> None:
    """Bytes that are no frame end the dial; a frame that is no answer is counted."""
    made = machine()
    number, _ = dial(made)
    assert feed(made, DoorAnswered(dial=number, payload=encode(Ping(token=1, wall_ms=1)))) == []
    assert made.refusals == {"unexpected": 1}
    assert ended(feed(made, DoorAnswered(dial=number, payload=b"\x02"))).reason == "malformed"


def test_a_dial_without_an_answer_ends_after_its_time() -> None:
    """dial_timeout_s is all that a door gets; the number of dials at once is bounded."""
    made = machine()
    numbers = [dial(made)[0] for _ in range(4)]
    assert made.dials_free == 0
    assert ended(feed(made, TimerFired(name=("admission", "dial", numbers[0])))).reason == "timeout"
    assert ended(feed(made, DialFailed(dial=numbers[1], reason="no route"))).detail == "no route"
    assert made.dials_free == 2


def test_a_welcome_of_a_new_instance_replaces_the_session() -> None:
    """A peer that restarted and is dialled by us: the old session is over."""
    made = machine()
    knock(made, hello())
    number, sent = dial(made)
    out = feed(made, DoorAnswered(dial=number, payload=encode(welcome(sent, instance=LATER))))
    assert kinds(out) == [SessionReplaced, CloseDoor, Admit, Welcomed]
