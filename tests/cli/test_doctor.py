"""The doctor's report for people, and both forms in a real process."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.commands import free_port, run_command, running_node, use_node
from zmqchat.cli.doctor import report_lines

REPORT = {
    "name": "ann",
    "id": "a" * 52,
    "home": "/home",
    "ports": {"door": 1, "direct": 2, "feed": 3},
    "interfaces": [{"name": "eth0", "addresses": ["10.0.0.1"]}],
    "discovery": {
        "on": True,
        "candidates": 2,
        "multicast": [{"interface": "eth0", "address": "10.0.0.1", "sent": True, "heard": False, "problem": "x"}],
    },
    "peers": [
        {
            "id": "b" * 52,
            "name": "b\x1b[2Job",
            "online": True,
            "address": "10.0.0.2:42100",
            "found_by": "mdns",
            "rtt_s": 0.0012,
            "clock_difference_s": -7.25,
            "last_error": "",
        }
    ],
    "store": {"bytes": 3 * 1024 * 1024},
    "problems": ["nothing heard on eth0: open UDP 5353"],
}


def test_the_report_is_made_of_clean_lines() -> None:
    """Each part has its lines; units are said; nothing of others steers the terminal."""
    text = "\n".join(report_lines(REPORT))
    for words in ("door 1, direct 2, feed 3", "sent, not heard", "1.2 ms", "clock -7.2 s", "3.0 MiB"):
        assert words in text
    assert "\x1b" not in text
    assert text.splitlines()[-1].strip() == "nothing heard on eth0: open UDP 5353"


def test_how_each_peer_is_reached_is_said() -> None:
    """Over a link, over another's for want of one, or not at all; an older node says only who is in touch."""
    ann = {"id": "b" * 52, "name": "ann", "online": True, "linked": True}
    ben = {"id": "c" * 52, "name": "ben", "online": True, "linked": False, "via": "b" * 52, "gapped": True}
    cas = {"id": "d" * 52, "name": "cas", "online": False, "linked": False}
    old = {"id": "e" * 52, "name": "old", "online": True}
    lines = report_lines({"peers": [ann, ben, cas, old], "mesh_links": {"gapped_members": 1}})
    ways = {name: line for line in lines for name in ("ann", "ben", "cas", "old") if line.startswith(f"  {name} ")}
    assert " direct " in ways["ann"]
    assert " via ann, gapped " in ways["ben"]
    assert " offline " in ways["cas"]
    assert " online " in ways["old"]
    assert any(line.split() == ["gapped_members", "1"] for line in lines)


def test_a_report_without_anything_is_no_error() -> None:
    """An older or newer node may tell less."""
    assert report_lines({})[-1] == "no problems found"
    assert report_lines({"peers": None, "problems": [{"what": "a", "do": "b"}]})[-1].strip() == "a: b"


def test_doctor_in_both_forms(home: Path) -> None:
    """With a peer in touch, `doctor`, `doctor --json` and `doctor PEER` answer from the running node."""
    port = free_port()
    with running_node(home, port=port), running_node(home.with_name("other"), peer=port) as other:
        other.wait_for("home is here|is here")
        use_node(home, "send", "lobby", "hello", "--until", "held", "--timeout", "20")
        report = json.loads(use_node(home, "doctor", "--json").stdout)
        assert report["ports"]["door"] == port
        assert [peer["name"] for peer in report["peers"]] == ["other"]
        assert "other" in use_node(home, "doctor").stdout
        asked = use_node(home, "doctor", "other")
        assert asked.returncode == 0, asked.stderr


def test_an_unknown_peer_is_one_line(home: Path) -> None:
    """Who asks for a peer that nobody knows is told so."""
    done = run_command(home, "doctor", "nobody-of-this-name")
    assert done.returncode in (1, 2)
    assert done.stderr.count("\n") == 1


def test_an_address_where_nobody_answers_is_a_problem(home: Path) -> None:
    """Who gave an address is told that it does not answer and why, not to give one."""
    silent = free_port()
    done = run_command(home, "doctor", "--json", peer=silent)
    problems = json.loads(done.stdout)["problems"]
    assert f"127.0.0.1:{silent} does not answer (" in problems[0]
    assert "try `--peer" not in problems[0]
