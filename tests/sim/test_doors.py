"""Dialled doors of the simulated network: who may knock where, what is answered, and what is not."""

from __future__ import annotations

import pytest

from tests.support.simears import Ear, EarNet
from zmqchat.model.limits import DOOR_FRAMES_PER_S_MAX
from zmqchat.protocol.effects import AnswerDoor, DialDoor
from zmqchat.protocol.facts import DialFailed, DoorAnswered, DoorKnocked
from zmqchat.sim.routes import CONNECT_S


def _knock(net: EarNet, dialler: Ear, listener: Ear, subnet: str = "lan", dial: int = 1) -> None:
    effect = DialDoor(dial=dial, endpoint=listener.endpoint(subnet), payload=b"hello")
    net.network.doors.knock(dialler.process, effect)
    net.passes(0.2)


def _answer(net: EarNet, listener: Ear, payload: bytes = b"welcome") -> None:
    """Answer the last knock."""
    knocked = listener.facts[-1]
    assert isinstance(knocked, DoorKnocked)
    net.network.doors.answer(listener.process, AnswerDoor(caller=knocked.caller, payload=payload))
    net.passes(0.2)


def _lan() -> tuple[EarNet, Ear, Ear]:
    net = EarNet()
    return net, net.add(), net.add()


def test_a_knock_is_heard_with_the_address_that_it_came_from_and_answered() -> None:
    """Also a further frame on the same door."""
    net, ann, ben = _lan()
    _knock(net, ann, ben)
    (knocked,) = ben.facts
    assert isinstance(knocked, DoorKnocked)
    assert (knocked.caller.curve_key, knocked.caller.address, knocked.payload) == (
        ann.peer,
        ann.endpoint().host,
        b"hello",
    )
    _answer(net, ben)
    assert ann.facts == [DoorAnswered(dial=1, payload=b"welcome")]
    net.network.doors.knock_again(ann.process, 1, b"and this")
    net.passes(0.2)
    assert [fact.payload for fact in ben.facts if isinstance(fact, DoorKnocked)] == [b"hello", b"and this"]


def test_a_door_behind_a_translator_opens_outwards_only() -> None:
    """Its answers come back to whoever knocked from behind it."""
    net = EarNet()
    home, office = net.add("home"), net.add("office")
    for name in ("home", "office"):
        net.conditions.subnets[name].routed = True
    net.conditions.subnets["home"].nat = True
    _knock(net, office, home, "home")
    net.passes(CONNECT_S)
    assert home.facts == []
    assert office.facts == [DialFailed(dial=1, reason="timeout")]
    _knock(net, home, office, "office")
    _answer(net, office)
    assert home.facts == [DoorAnswered(dial=1, payload=b"welcome")]


@pytest.mark.parametrize(("silent", "reason", "after_s"), [(False, "refused", 0.002), (True, "timeout", CONNECT_S)])
def test_a_dial_to_nobody_fails_once(silent: bool, reason: str, after_s: float) -> None:
    """At once, or when nothing was heard for long."""
    net, ann, ben = _lan()
    net.gone(ben, silent=silent)
    _knock(net, ann, ben)
    net.passes(2 * CONNECT_S)
    assert ann.facts == [DialFailed(dial=1, reason=reason)]
    assert ann.heard[0][0] == pytest.approx(after_s, abs=0.01)
    assert ann.knocks == {}


def test_who_dies_while_somebody_knocks_refuses() -> None:
    """The knock comes to a machine whose process has gone."""
    net, ann, ben = _lan()
    effect = DialDoor(dial=1, endpoint=ben.endpoint(), payload=b"hello")
    net.network.doors.knock(ann.process, effect)
    net.gone(ben)
    net.passes(1.0)
    assert ann.facts == [DialFailed(dial=1, reason="refused")]


def test_what_can_not_pass_is_not_answered() -> None:
    """Neither the knock nor the answer; the dialler's own clock ends that."""
    net, ann, ben = _lan()
    _knock(net, ann, ben)
    net.conditions.cut(1, 0, one_way=True)
    _answer(net, ben)
    assert ann.facts == []
    net.conditions.heal()
    net.conditions.cut(0, 1, one_way=True)
    net.network.doors.knock_again(ann.process, 1, b"unheard")
    net.passes(10.0)
    assert len(ben.facts) == 1
    assert ann.facts == []


@pytest.mark.parametrize("ends_by", ["closing", "dying"])
def test_who_has_closed_a_door_hears_no_answer(ends_by: str) -> None:
    """It was closed, or its dialler is gone."""
    net, ann, ben = _lan()
    _knock(net, ann, ben)
    if ends_by == "closing":
        net.network.doors.close(ann.process, 1)
    else:
        net.gone(ann)
    _answer(net, ben)
    net.network.doors.knock_again(ann.process, 1, b"unheard")
    net.passes(1.0)
    assert ann.facts == []
    assert len(ben.facts) == 1


def test_a_door_reads_so_many_frames_a_second() -> None:
    """The others wait for it; another node's door is not held up."""
    net, ann, ben = _lan()
    cas = net.add()
    count = 2 * DOOR_FRAMES_PER_S_MAX
    for number in range(count):
        for dialler, listener in ((ann, ben), (ann, cas)) if number == count - 1 else ((ann, ben),):
            effect = DialDoor(dial=2 * number + (listener is cas), endpoint=listener.endpoint(), payload=b"x")
            net.network.doors.knock(dialler.process, effect)
    net.passes(1.05)
    assert len(ben.facts) == pytest.approx(DOOR_FRAMES_PER_S_MAX, abs=2)
    assert len(cas.facts) == 1
    net.passes(1.0)
    assert len(ben.facts) == count


def test_answers_find_the_knock_that_they_are_for() -> None:
    """Two dials of one node to one door are two callers."""
    net, ann, ben = _lan()
    for dial in (1, 2):
        _knock(net, ann, ben, dial=dial)
        _answer(net, ben, b"%d" % dial)
    assert ann.facts == [DoorAnswered(dial=1, payload=b"1"), DoorAnswered(dial=2, payload=b"2")]
