"""A network that falls silent: kernels give up what nobody answers on, and links come back when the network does."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.namespace_nodes import NodeProcess, crew, link_all, meet, open_all
from tests.support.namespaces import Host, lan, needs_namespaces
from zmqchat.net.options import UNACKNOWLEDGED_MS

pytestmark = [needs_namespaces, pytest.mark.slow, pytest.mark.timeout(180)]

SILENT_S = UNACKNOWLEDGED_MS / 1000
CLOSED_S = SILENT_S
"""From the last packet that came through until no node has a connection open over which it came."""

GIVEN_UP_S = SILENT_S + 5.0
"""The same for the kernel by itself, where the node stands still: it asks now and then, and waits for the answers."""

FORGOTTEN_S = 2 * SILENT_S
"""Until kernels keep none either of those that nodes have closed: they wait as long for the end to be heard."""

BACK_S = 10.0
"""From the moment at which the network is whole again, on a busy machine."""


def _connections(host: Host, *, held: bool = False) -> set[tuple[str, str]]:
    """The TCP connections of a host, own end and far end; `held`: those that a process has open still."""
    rows = (line.split() for line in host.run(["ss", "-Htnp", "state", "connected"]).splitlines())
    return {(row[3], row[4]) for row in rows if row[0] != "TIME-WAIT" and (len(row) > 5 or not held)}


def _await_none(host: Host, dead: set[tuple[str, str]], deadline_s: float, *, held: bool) -> float:
    """Wait until none of these connections is left; when that was."""
    while left := dead & _connections(host, held=held):
        assert time.monotonic() < deadline_s, f"{host.namespace} keeps {len(left)} of {len(dead)}: {sorted(left)}"
        time.sleep(0.2)
    return time.monotonic()


def _talk(what: str, *nodes: NodeProcess) -> None:
    texts = [f"{node.name} {what}" for node in nodes]
    for node, text in zip(nodes, texts, strict=True):
        node.say(text)
    for node in nodes:
        node.read(texts)


def test_connections_on_which_nobody_hears_are_given_up_and_links_come_back(tmp_path: Path) -> None:
    """One of two that are gone has its cable out; a firewall drops all of the other's, which stands still besides."""
    with lan(hosts=3) as network, crew(tmp_path) as nodes:
        ann, ben, cas = nodes.start(*network.hosts)
        open_all(ann, ben, cas)
        meet(ann, ben, cas)
        _talk("before", ann, ben, cas)
        open_before = {node.name: _connections(node.host, held=True) for node in (ann, ben, cas)}
        assert all(len(each) >= 4 for each in open_before.values()), open_before
        cas.pause()
        ben.host.unplug()
        cas.host.drop('iifname "eth0"')
        cas.host.drop_outgoing('oifname "eth0"')
        cut_s = time.monotonic()
        for node in (ann, ben):
            node.say(f"{node.name} while apart")
        for node, held, within_s in (
            (ann, True, CLOSED_S),
            (ben, True, CLOSED_S),
            (cas, False, GIVEN_UP_S),
            (ann, False, FORGOTTEN_S),
            (ben, False, FORGOTTEN_S),
        ):
            took_s = _await_none(node.host, open_before[node.name], cut_s + within_s, held=held) - cut_s
            whose = node.name if held else f"the kernel of {node.name}"
            print(f"{len(open_before[node.name])} dead connections given up by {whose} after {took_s:.1f} s")
        assert ann.ask("peers")["peers"] == {}
        ben.host.plug()
        cas.host.heal()
        cas.resume()
        back_s = time.monotonic()
        took_s = link_all(ann, ben, cas) - back_s
        print(f"linked {took_s:.1f} s after the network was whole again")
        assert took_s < BACK_S
        for node in (ann, ben, cas):
            node.read([f"{other.name} while apart" for other in (ann, ben)])
        _talk("after", ann, ben, cas)
