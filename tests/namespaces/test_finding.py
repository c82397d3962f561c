"""Three hosts with real multicast: who starts, joins late or moves is found, and what is in the way is told."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.namespace_nodes import NodeProcess, crew, link_all, meet, open_all
from tests.support.namespaces import Host, lan, needs_namespaces

pytestmark = [needs_namespaces, pytest.mark.timeout(120)]

ADMITTED_S = 3.0
"""From being started, or from its interface being up, until a node has its links."""

RECONNECTED_S = 5.0
"""From being reachable again."""


def _talk(*nodes: NodeProcess) -> None:
    """Each sends a text and all read all of them."""
    texts = [f"{node.name} is here" for node in nodes]
    for node, text in zip(nodes, texts, strict=True):
        node.say(text)
    for node in nodes:
        node.read(texts)


def test_nodes_started_at_once_have_admitted_each_other_within_three_seconds(tmp_path: Path) -> None:
    """All three, by multicast alone, and then they talk."""
    with lan(hosts=3) as network, crew(tmp_path) as nodes:
        three = nodes.start(*network.hosts)
        open_all(*three)
        took_s = link_all(*three) - three[0].opened_s
        print(f"started at once: {took_s:.2f} s")
        assert took_s < ADMITTED_S
        _talk(*three)


def test_one_that_joins_a_running_mesh_is_in_within_three_seconds(tmp_path: Path) -> None:
    """A third node starts while two have been running for a while."""
    with lan(hosts=3) as network, crew(tmp_path) as nodes:
        ann, ben, cas = nodes.start(*network.hosts)
        open_all(ann, ben)
        link_all(ann, ben)
        open_all(cas)
        took_s = link_all(ann, ben, cas) - cas.opened_s
        print(f"joined later: {took_s:.2f} s")
        assert took_s < ADMITTED_S


def test_a_link_that_comes_up_later_is_in_within_three_seconds_of_it(tmp_path: Path) -> None:
    """A node started with its cable out says so in a line; addresses are checked for being unique, as on real hosts."""
    with lan(hosts=2, duplicate_address_detection=True) as network, crew(tmp_path) as nodes:
        late = network.add_host(plugged=False)
        ann, ben, cas = nodes.start(*network.hosts)
        open_all(ann, ben, cas)
        link_all(ann, ben)
        notices = cas.ask("notices", containing="no network interface is up")["notices"]
        assert len(notices) == 1 and "--peer" in notices[0]
        late.plug()
        up_s = time.monotonic()
        took_s = link_all(ann, ben, cas) - up_s
        print(f"link came up later: {took_s:.2f} s")
        assert took_s < ADMITTED_S
        _talk(ann, ben, cas)


def test_a_changed_address_is_followed(tmp_path: Path) -> None:
    """A new lease in mid-talk: the old connections are dead, new ones are there within 5 s, nothing is lost."""
    with lan(hosts=3) as network, crew(tmp_path) as nodes:
        ann, ben, cas = nodes.start(*network.hosts)
        open_all(ann, ben, cas)
        meet(ann, ben, cas)
        cas.host.change_address("10.77.0.99")
        moved_s = time.monotonic()
        ann.say("ann after the move")
        cas.say("cas after the move")
        for node in (ann, ben, cas):
            took_s = max(node.read(["ann after the move", "cas after the move"])) - moved_s
            print(f"address changed, {node.name}: {took_s:.2f} s")
            assert took_s < RECONNECTED_S
        link_all(ann, ben, cas)
        assert ann.ask("presence", peer=cas.id, online=True)


def test_one_peer_is_enough_for_three_where_multicast_is_blocked(tmp_path: Path) -> None:
    """UDP 5353 is dropped everywhere: each says so in a line, and all learn of all from the one that two know."""
    with lan(hosts=3) as network, crew(tmp_path) as nodes:
        for host in network.hosts:
            host.drop("udp dport 5353")
            host.drop_outgoing("udp dport 5353")
        ann, ben, cas = nodes.start(*network.hosts)
        open_all(ann)
        address = f"{ann.host.address}:{ann.ports[0]}"
        open_all(ben, cas, peers=[address])
        took_s = link_all(ann, ben, cas) - ben.opened_s
        print(f"one peer is enough: {took_s:.2f} s")
        assert took_s < ADMITTED_S
        assert ben.ask("peers")["peers"][cas.id][1] in ("exchange", "hello")
        for node in (ann, ben, cas):
            notices = node.ask("notices", containing="5353")["notices"]
            assert len(notices) == 1 and "firewall" in notices[0]
        _talk(ann, ben, cas)


def test_two_meshes_on_one_network_ignore_each_other(tmp_path: Path) -> None:
    """Two nodes of one mesh meet, a third of another on the same network is nobody's peer, also when it is dialled."""
    with lan(hosts=3) as network, crew(tmp_path) as nodes:
        ann, ben, other = nodes.start(*network.hosts)
        ann.tell_open(mesh="red")
        ben.tell_open(mesh="red")
        other.tell_open(mesh="blue")
        for node in (ann, ben, other):
            node.is_open()
        link_all(ann, ben)
        other.ask("dial", address=f"{ann.host.address}:{ann.ports[0]}")
        ann.say("only for red")
        ben.read(["only for red"])
        ann.ask("refused", reason="mesh")
        assert other.ask("peers")["peers"] == {}
        assert set(ann.ask("peers")["peers"]) == {ben.id}
        assert other.ask("timeline")["texts"] == []


def _no_ipv4(*hosts: Host) -> None:
    for host in hosts:
        host.run(["ip", "-4", "address", "flush", "dev", "eth0"])


def test_hosts_without_ipv4_meet_by_link_local_ipv6(tmp_path: Path) -> None:
    """Only fe80 addresses: the scope is kept, links and feeds come up, and they talk."""
    with lan(hosts=3) as network, crew(tmp_path) as nodes:
        _no_ipv4(*network.hosts)
        ann, ben, cas = nodes.start(*network.hosts)
        open_all(ann, ben, cas)
        took_s = link_all(ann, ben, cas) - ann.opened_s
        print(f"link-local IPv6 only: {took_s:.2f} s")
        assert took_s < ADMITTED_S
        _talk(ann, ben, cas)
        addresses = [address for address, _found_by in ann.ask("peers")["peers"].values()]
        assert all("fe80:" in address and "%eth0" in address for address in addresses), addresses
        for other in (ben, cas):
            ann.ask("feed", peer=other.id)


def test_a_network_without_multicast_is_told_in_one_line(tmp_path: Path) -> None:
    """An interface that does not do multicast: a line that names what to do, and the node goes on."""
    with lan(hosts=2) as network, crew(tmp_path) as nodes:
        for host in network.hosts:
            host.run(["ip", "link", "set", "eth0", "multicast", "off"])
        ann, ben = nodes.start(*network.hosts)
        open_all(ann)
        notices = ann.ask("notices", containing="--peer")["notices"]
        assert len(notices) == 1, notices
        open_all(ben, peers=[f"{ann.host.address}:{ann.ports[0]}"])
        link_all(ann, ben)
        _talk(ann, ben)
