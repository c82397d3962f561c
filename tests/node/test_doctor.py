"""What `doctor` says of a node and its peers."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.nodes import eventually, linked, running, share_room
from zmqchat import Node, UsageError
from zmqchat.node.doctor import firewall_rules, is_loopback


async def report_of(node: Node, peer: str | None = None) -> dict[str, Any]:
    """The report, as JSON carries it."""
    report: dict[str, Any] = json.loads(json.dumps(await node.doctor(peer)))
    return report


async def test_alone(home: Path) -> None:
    """Who, where, which ports; that nobody is found is a problem with something to do."""
    async with running(home) as ann:
        report = await report_of(ann)
        assert (report["name"], report["home"], report["address"]) == ("ann", str(ann.home), ann.address)
        assert tuple(report["ports"].values()) == ann.ports
        assert report["peers"] == []
        store = report["store"]
        assert store["disk_free_bytes"] > 0
        assert store["used_bytes"] + store["free_bytes"] == store["bytes"] > store["used_bytes"] > 0
        assert report["firewall"] == {}, "it listens on the loopback interface"
        assert report["discovery"]["on"] is False
        assert any("--peer" in problem for problem in report["problems"]), report["problems"]


async def test_a_peer_in_touch(home: Path) -> None:
    """How it was found, its round trip and clock, and what it thinks of this node."""
    async with running(home) as ann, running(home, "bob", ann) as bob:
        await share_room("lobby", ann, bob)
        await eventually(lambda: bob.peers[0].clock_difference_s is not None)
        report = await report_of(bob, "ann")
        (peer,) = report["peers"]
        assert (peer["name"], peer["online"], peer["found_by"]) == ("ann", True, "config")
        assert (peer["linked"], peer["via"], peer["gapped"]) == (True, None, False)
        assert abs(peer["clock_difference_s"]) < 1
        assert 0 < peer["rtt_s"] < 5
        assert report["peer"]["here"]
        assert report["peer"]["there"]
        assert not any("nobody" in problem for problem in report["problems"])
        for wanted in (peer["id"], peer["id"][:8], f"{peer['id'][:4]}-{peer['id'][4:8]}", "ANN"):
            again = (await report_of(bob, wanted))["peer"]
            assert again["id"] == peer["id"]
            assert again["there"], "asked twice at once, it tells both times"


async def test_a_peer_that_is_gone(home: Path) -> None:
    """It is listed as offline, and it answers nothing."""
    async with running(home) as ann:
        async with running(home, "bob", ann) as bob:
            await share_room("lobby", ann, bob)
        await eventually(lambda: not ann.peers)
        report = await report_of(ann, "bob")
        assert [(peer["name"], peer["online"]) for peer in report["peers"]] == [("bob", False)]
        assert report["peer"]["there"] is None


async def test_a_peer_that_nobody_knows(home: Path) -> None:
    """An error that says where to look."""
    async with running(home) as ann:
        with pytest.raises(UsageError, match="peers --all"):
            await ann.doctor("bob")


async def test_a_node_that_nobody_reaches_is_told_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the likely reason; two nodes that reach each other have no such problem, and a full mesh."""
    async with running(home) as ann, running(home, "bob", ann) as bob:
        await linked(ann, bob)
        report = await report_of(bob)
        assert not any("reach me" in problem for problem in report["problems"])
        nothing = {"in_reserve": 0, "dropped_frames": 0, "gapped_members": 0}
        assert report["mesh_links"] == {"partial": False, "neighbours": 1} | nothing
        # In its place, as the machine itself may yet hear that somebody got here.
        monkeypatch.setattr(bob._core().core.machines, "reach", SimpleNamespace(nobody_reaches_us=True))
        problems = (await report_of(bob))["problems"]
        assert any("nobody can reach me" in problem and "firewall" in problem.lower() for problem in problems)


async def test_a_slow_msgpack_is_a_problem(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its compiled part is missing, with what to do; not where it is there."""
    async with running(home) as ann:
        assert not any("msgpack" in problem for problem in (await report_of(ann))["problems"])
        monkeypatch.setattr("zmqchat.wire.packing.IS_COMPILED", False)
        assert any("install a build" in problem for problem in (await report_of(ann))["problems"])


async def test_a_clock_that_is_off_is_a_problem(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to do about it."""
    async with running(home) as ann, running(home, "bob", ann) as bob:
        await linked(ann, bob)
        monkeypatch.setattr(ann._core().core.machines.presence, "clock_difference_s", lambda _peer: 86_400.0)
        assert any("clock of" in problem and "NTP" in problem for problem in (await report_of(ann))["problems"])


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), (None, False), ("0.0.0.0", False), ("my-host", False)],
)
def test_who_listens_on_loopback_needs_no_firewall_rules(host: str | None, loopback: bool) -> None:
    """Only what others may reach is worth a hole in the firewall."""
    assert is_loopback(host) is loopback


def test_firewall_rules_name_the_ports_of_this_node() -> None:
    """One range where the three stand together, each by itself where they do not; multicast DNS besides."""
    together = firewall_rules((42100, 42101, 42102))
    assert "42100:42102/tcp" in together["ufw"] and "42100-42102/tcp" in together["firewalld"]
    apart = firewall_rules((42100, 50001, 50777))
    assert all(f"{port}/tcp" in apart["ufw"] for port in (42100, 50001, 50777))
    assert all("5353" in together[name] or "mdns" in together[name] for name in together)
    assert "LocalPort 42100,50001,50777 " in apart["Windows"]
