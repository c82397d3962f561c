"""A host whose firewall lets nobody in: it keeps the links that it opens, and its doctor says what is wrong."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import environment, use_node
from tests.support.namespace_nodes import crew, open_all
from tests.support.namespaces import Host, Output, lan, needs_namespaces

pytestmark = [needs_namespaces, pytest.mark.timeout(120)]

TOLD_WITHIN_S = 30.0
"""A link must have been there for 15 s before nobody's coming in says something."""


def _let_nobody_in(host: Host) -> None:
    """Drop what begins a connection, as a firewall does that lets only answers in."""
    host.drop("tcp flags & (syn | ack) == syn")


def _report(home: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(use_node(home, "doctor", "--json").stdout)
    return report


def _complaints(home: Path) -> list[str]:
    return [problem for problem in _report(home)["problems"] if "nobody can reach me" in problem]


def test_doctor_asks_for_a_firewall_where_nobody_gets_in(tmp_path: Path) -> None:
    """`zmqchat node` links to both others though inbound is dropped; `zmqchat doctor` there says so, and only there."""
    with lan(hosts=3) as network, crew(tmp_path) as crewed:
        ann, ben = crewed.start(*network.hosts[:2])
        open_all(ann, ben)
        shut_off, home = network.hosts[2], tmp_path / "cas"
        _let_nobody_in(shut_off)
        command = [sys.executable, "-m", "zmqchat", "--home", str(home), "--name", "cas", "node"]
        Output(shut_off.popen(command, environment=environment())).wait_for("listens at", within_s=20)
        for node in (ann, ben):
            node.ask("mesh", count=3)
        began_s = time.monotonic()
        while not (complaints := _complaints(home)):
            assert time.monotonic() < began_s + TOLD_WITHIN_S
            time.sleep(0.5)
        print(f"told {time.monotonic() - began_s:.1f} s after it was linked: {complaints}")
        assert "firewall" in complaints[0].lower()
        assert "firewall" in use_node(home, "doctor").stdout
        assert not _complaints(ann.home) and not _complaints(ben.home)
        assert sorted(peer["name"] for peer in _report(home)["peers"] if peer["online"]) == ["ann", "ben"]
        ann.say("to the host behind its firewall")
        said = use_node(home, "send", "field", "from behind it", "--until", "delivered", "--timeout", "10")
        assert said.returncode == 0, said.stderr
        for node in (ann, ben):
            node.read(["to the host behind its firewall", "from behind it"])
