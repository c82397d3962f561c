"""Networks on which not everybody reaches everybody: firewalls, and two subnets joined only by a node in both."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.namespace_nodes import NodeProcess, crew, link_all, meet, open_all, timelines
from tests.support.namespaces import lan, needs_namespaces

pytestmark = [needs_namespaces, pytest.mark.timeout(120)]

ADMITTED_S = 3.0
LIVE_S = 1.0
RELAYED_S = 2.0


def _latencies(sender: NodeProcess, reader: NodeProcess, what: str, count: int = 20) -> list[float]:
    """Seconds from send() to being read, of texts sent one after the other."""
    texts = [f"{sender.name} {what} {number}" for number in range(count)]
    sent_s = sender.say(*texts, interval_s=0.05)
    return [read - sent for sent, read in zip(sent_s, reader.read(texts), strict=True)]


@pytest.mark.parametrize("is_refused", [False, True])
def test_pushes_over_the_one_link_keep_talk_live_where_a_peer_can_not_be_dialled(
    tmp_path: Path, is_refused: bool
) -> None:
    """Inbound to one node's direct and feed is dropped or refused: nobody reads its feed, yet talk is live."""
    with lan(hosts=3) as network, crew(tmp_path) as nodes:
        ann, ben, cas = nodes.start(*network.hosts)
        (cas.host.reject if is_refused else cas.host.drop)("tcp dport { 42101, 42102 }")
        open_all(ann, ben, cas)
        assert cas.ports == (42100, 42101, 42102)
        took_s = link_all(ann, ben, cas) - ann.opened_s
        print(f"linked though inbound is {'refused' if is_refused else 'dropped'}: {took_s:.2f} s")
        assert took_s < ADMITTED_S
        meet(ann, ben, cas)
        for sender, reader in ((cas, ann), (ben, cas), (ann, ben)):
            worst_s = max(_latencies(sender, reader, f"to {reader.name}"))
            print(f"{sender.name} to {reader.name}: {worst_s * 1000:.1f} ms at worst")
            assert worst_s < LIVE_S
        first, *others = timelines(ann, ben, cas)
        assert all(other == first for other in others)


def test_two_subnets_read_everything_through_a_node_in_both(tmp_path: Path) -> None:
    """A and C can't reach each other, B reaches both; within 2 s each reads the other's, also after B was restarted."""
    with lan(hosts=2) as left, lan(hosts=1, subnet="10.78.0") as right, crew(tmp_path) as nodes:
        right.attach(left.hosts[1])
        ann, ben, cas = nodes.start(left.hosts[0], left.hosts[1], right.hosts[0])
        open_all(ann, ben, cas)
        for end in (ann, cas):
            end.ask("linked", ids=[ben.id])
            end.ask("members", count=2)
        for sender, reader in ((ann, cas), (cas, ann)):
            worst_s = max(_latencies(sender, reader, "across"))
            print(f"{sender.name} to {reader.name} through another: {worst_s:.2f} s at worst")
            assert worst_s < RELAYED_S
        ben.kill()
        said = ["ann while apart", "cas while apart"]
        ann.say(said[0])
        cas.say(said[1])
        ben = nodes.restart(ben)
        open_all(ben)
        for end in (ann, cas):
            end.ask("linked", ids=[ben.id])
        linked_s = max(end.ask("presence", peer=ben.id, online=True)["at_s"] for end in (ann, cas))
        for node in (ann, ben, cas):
            took_s = max(node.read(said)) - max(linked_s, ben.opened_s)
            print(f"after the restart, {node.name}: {took_s:.2f} s")
            assert took_s < RELAYED_S
        worst_s = max(_latencies(ann, cas, "again"))
        print(f"through the restarted node: {worst_s:.2f} s at worst")
        assert worst_s < RELAYED_S
        first, *others = timelines(ann, ben, cas)
        assert all(other == first for other in others)
        assert set(ann.ask("peers")["peers"]) == {ben.id}
