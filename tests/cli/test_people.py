"""`peers` and `whoami` in real processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import free_port, run_command, running_node, use_node
from zmqchat.cli.output import cells
from zmqchat.cli.people import peer_lines


def test_peers_lists_those_in_touch(home: Path) -> None:
    """A command of its own finds the peer that it is told of; `--json` is an object a line."""
    port = free_port()
    other = home.with_name("other")
    with running_node(other, port=port):
        done = run_command(home, "peers", "--json", peer=port)
        assert [json.loads(line)["online"] for line in done.stdout.splitlines()] == [True]
        assert use_node(other, "peers").stdout == ""
    done = run_command(home, "peers")
    assert done.stdout == ""
    assert "nobody found" in done.stderr
    assert "offline" in run_command(home, "peers", "--all").stdout


def test_a_peer_given_to_a_running_node_is_waited_for(home: Path) -> None:
    """`--peer` is passed on, and who is listed is who it has led to."""
    port = free_port()
    with running_node(home.with_name("other"), port=port), running_node(home):
        done = run_command(home, "peers", peer=port)
        assert "direct" in done.stdout


def peer(number: int, **fields: object) -> dict[str, Any]:
    """A made-up peer as the control socket tells of it."""
    start = "abcdefgh"[number % 8] * 8
    place = {"address": f"192.168.100.{number}:42100", "found_by": "exchange"}
    way = {"linked": True, "online": True, "hops": 1, "rtt_s": 0.0123, "lacks": 0}
    return {"id": start + "a" * 44, "name": f"peer {number}"} | place | way | fields


def test_the_table_says_how_each_is_reached() -> None:
    """A link, or who leads there; what is not known is a question mark, never a number."""
    near, slow = peer(0, name="ann"), peer(1, name="bob", slow=True, lacks=1200, rtt_s=1.5)
    far = peer(2, name="cy", linked=False, via=near["id"], hops=2, rtt_s=None, lacks=None, found_by="gossip")
    lost = peer(3, name="dee", linked=False, hops=None, rtt_s=None, lacks=None)
    gone = peer(4, name="eve", online=False, linked=False, hops=None, rtt_s=None, address=None, found_by=None)
    assert peer_lines([near, slow, far, lost, gone], None) == [
        "NAME  ID         LINK          HOPS  RTT      LACKS  FOUND BY  ADDRESS",
        "ann   aaaa-aaaa  direct        1     12.3 ms  0      exchange  192.168.100.0:42100",
        "bob   bbbb-bbbb  direct, slow  1     1.5 s    1,200  exchange  192.168.100.1:42100",
        "cy    cccc-cccc  via ann       2     -        ?      gossip    192.168.100.2:42100",
        "dee   dddd-dddd  via others    ?     -        ?      exchange  192.168.100.3:42100",
        "eve   eeee-eeee  offline       ?     -        0      -         -",
    ]
    assert peer_lines([], None) == []


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_the_table_fits_the_terminal(columns: int) -> None:
    """Long and wide names are cut; what finds no room moves to a line below, and nothing is left out."""
    names = ["\u6f22" * 60, "a name of many letters indeed", "bob"]
    peers = [peer(number, name=names[number % 3], linked=False, hops=2, rtt_s=0.9999) for number in range(9)]
    for each in peers:
        each["via"] = peers[1]["id"]
    lines = peer_lines(peers, columns)
    assert max(map(cells, lines)) <= columns
    assert all(any(str(each["address"]) in line for line in lines) for each in peers)
    assert len(lines) == (10 if columns == 200 else 19)


def test_nothing_of_a_peer_steers_the_terminal() -> None:
    """Names and addresses come from others."""
    lines = peer_lines([peer(0, name="\x1b[2Jred", address="\x1b[2J\n:1", found_by="\x07")], 60)
    assert all(character.isprintable() for line in lines for character in line)


def test_peers_beyond_a_link_are_listed(home: Path) -> None:
    """A node in the middle, two that do not dial each other: each sees the other by the one between."""
    port = free_port()
    with running_node(home.with_name("middle"), port=port), running_node(home.with_name("left"), peer=port):
        done = run_command(home, "peers", "--json", peer=port)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert {each["name"]: each["hops"] for each in found}["middle"] == 1
    assert all({"linked", "via", "lacks", "slow", "keeps"} <= each.keys() for each in found)


def test_whoami_stays_the_same(home: Path) -> None:
    """The identity is made once; the home, the name and how the key is kept are told."""
    first = json.loads(run_command(home, "whoami", "--json").stdout)
    text = run_command(home, "whoami").stdout
    assert first["id"] in text
    assert first["name"] == "home"
    assert first["home"] == str(home)
    assert "mode 600" in first["key"]
