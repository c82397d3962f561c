"""Who reaches whom through subnets, translators, isolation and cuts, and what a dial that leads nowhere ends in."""

from __future__ import annotations

import pytest

from tests.support.simears import Ear, EarNet
from zmqchat.sim.conditions import Subnet
from zmqchat.sim.routes import CONNECT_S, HANDSHAKE_LATENCIES, PORTS


def _reached(net: EarNet, dialler: Ear, listener: Ear, subnet: str = "lan") -> str:
    """By which address the listener sees the dialler, or why it does not."""
    process, detail = net.network.routes.reach(dialler.process, listener.endpoint(subnet), PORTS[0])
    assert process in (None, listener.process)
    if process is None:
        assert detail in ("refused", "timeout")
    return detail


def _routed(net: EarNet, *names: str, nat: bool = False) -> None:
    for name in names:
        net.conditions.subnets[name].routed = True
        net.conditions.subnets[name].nat = nat


def test_hosts_of_a_subnet_reach_each_other_and_nobody_elsewhere() -> None:
    """The listener sees the address that the dialler has in their subnet."""
    net = EarNet()
    ann, ben, both, cas = net.add("east"), net.add("east"), net.add("east", "west"), net.add("west")
    assert _reached(net, ann, ben, "east") == ann.endpoint("east").host
    assert _reached(net, ann, cas, "west") == "timeout"
    assert _reached(net, both, cas, "west") == both.endpoint("west").host
    assert _reached(net, both, ann, "east") == both.endpoint("east").host
    assert _reached(net, ann, both, "west") == "timeout"


def test_routed_subnets_reach_each_other() -> None:
    """Both must be routed."""
    net = EarNet()
    ann, cas = net.add("east"), net.add("west")
    _routed(net, "west")
    assert _reached(net, ann, cas, "west") == "timeout"
    _routed(net, "east")
    assert _reached(net, ann, cas, "west") == ann.endpoint("east").host
    assert _reached(net, cas, ann, "east") == cas.endpoint("west").host


def test_behind_a_translator_one_dials_out_and_is_not_dialled() -> None:
    """From outside; those beside it in its subnet reach it."""
    net = EarNet()
    ann, ben, out = net.add("home"), net.add("home"), net.add("office")
    _routed(net, "office")
    _routed(net, "home", nat=True)
    assert _reached(net, ann, out, "office") == ann.endpoint("home").host
    assert _reached(net, out, ann, "home") == "timeout"
    assert _reached(net, ben, ann, "home") == ben.endpoint("home").host


def test_isolated_hosts_reach_the_gateway_only() -> None:
    """And only it reaches them."""
    net = EarNet()
    gate, ann, ben = net.add(), net.add(), net.add()
    net.conditions.subnets["lan"].gateway = gate.number
    assert _reached(net, ann, ben) == _reached(net, ben, ann) == "timeout"
    for ear in (ann, ben):
        assert _reached(net, ear, gate) == ear.endpoint().host
        assert _reached(net, gate, ear) == gate.endpoint().host


@pytest.mark.parametrize(("rejects", "reason"), [(False, "timeout"), (True, "refused")])
def test_what_leads_nowhere_is_refused_or_never_answered_as_the_subnet_is(rejects: bool, reason: str) -> None:
    """A firewall says no, or nothing; across subnets and between isolated hosts."""
    net = EarNet()
    net.conditions.subnets["west"] = Subnet(name="west", rejects=rejects, gateway=1)
    ann, _gate, ben, cas = net.add("east"), net.add("west"), net.add("west"), net.add("west")
    assert _reached(net, ann, ben, "west") == reason
    assert _reached(net, cas, ben, "west") == reason


@pytest.mark.parametrize(("sender", "receiver"), [(0, 1), (1, 0)])
def test_a_dial_needs_both_directions(sender: int, receiver: int) -> None:
    """Without answers there is no handshake."""
    net = EarNet()
    ann, ben = net.add(), net.add()
    net.conditions.cut(sender, receiver, one_way=True)
    assert not net.network.routes.both_pass(0, 1)
    assert _reached(net, ann, ben) == "timeout"
    net.conditions.mend(0, 1)
    assert _reached(net, ann, ben) == ann.endpoint().host


def test_nobody_answers_at_a_closed_port_or_a_dead_machine() -> None:
    """A kernel refuses for a process that is gone; a machine without power says nothing, until it listens again."""
    net = EarNet()
    ann, ben = net.add(), net.add()
    routes = net.network.routes
    assert routes.reach(ann.process, ben.endpoint(), 80) == (None, "refused")
    net.gone(ben)
    assert _reached(net, ann, ben) == "refused"
    net.gone(ben, silent=True)
    assert _reached(net, ann, ben) == "timeout"
    assert routes.processes() == [ann.process]
    routes.listen(ben.process)
    assert _reached(net, ann, ben) == ann.endpoint().host


def test_the_end_of_an_older_process_closes_nothing_of_the_next() -> None:
    """Who was started anew on the same node listens on."""
    net = EarNet()
    ann, ben = net.add(), net.add()
    old = Ear(net, ben.number)
    net.network.routes.gone(old.process, silent=False)
    assert _reached(net, ann, ben) == ann.endpoint().host


def test_a_refusal_comes_at_once_and_silence_takes_its_time() -> None:
    """So long a dial takes to fail, and so many latencies to come about."""
    net = EarNet()
    ann, ben = net.add(), net.add()
    routes = net.network.routes
    assert routes.failure_s("timeout") == CONNECT_S
    assert 0.0 < routes.failure_s("refused") < 0.01
    assert routes.delay_s(ann.process, ben.process, 100) == pytest.approx(0.01)
    assert routes.delay_s(ann.process, ben.process, 100, HANDSHAKE_LATENCIES) == pytest.approx(0.05)
