"""`mesh`: the mesh as lines and as a graph, hostile names included."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.commands import free_port, run_command, running_node
from zmqchat.cli.mesh import dot_lines, svg_lines, text_lines
from zmqchat.model.text import cell_width


def node(number: int, **fields: object) -> dict[str, Any]:
    """A made-up node as the control socket tells of it."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    start = "".join(letters[number // 26**place % 26] for place in range(8))
    return {"id": start + "a" * 44, "name": f"node {number}", "online": True, "hops": 1, "linked": True} | fields


def view_of(*nodes: dict[str, Any]) -> dict[str, Any]:
    """A view in which the first is linked to all others."""
    links = [[nodes[0]["id"], other["id"]] for other in nodes[1:]]
    return {"nodes": list(nodes), "links": links, "subnets": {"10.0.0.0/24": len(nodes)}, "is_partial": False}


def test_the_nearest_are_listed_first() -> None:
    """This node, then those linked to, then those beyond, with the name of who leads there."""
    me, near = node(0, name="ann", is_self=True, hops=0), node(1, name="bob", rtt_s=0.0012)
    far = node(2, name="cy", linked=False, hops=2, via=near["id"])
    assert text_lines(view_of(far, near, me)) == [
        "3 nodes, 2 known links, full mesh",
        "  10.0.0.0/24: 3 nodes",
        "",
        "ann  aaaa-aaaa  0            this node",
        "bob  baaa-aaaa  1  1.2 ms    link",
        "cy   caaa-aaaa  2            via bob",
    ]


def test_lines_fit_in_80_columns_at_500_nodes() -> None:
    """Long and wide names are cut."""
    nodes = [node(number, name="\u6f22" * 60, linked=False, hops=2, rtt_s=0.1234, slow=True) for number in range(500)]
    for each in nodes:
        each["via"] = nodes[0]["id"]
    lines = text_lines(view_of(*nodes))
    assert len(lines) == 503
    assert max(sum(map(cell_width, line)) for line in lines) <= 80


def test_the_graph_is_the_same_for_the_same_view() -> None:
    """In whatever order nodes and links come."""
    view = view_of(node(0, is_self=True), node(1), node(2, online=False))
    turned = view | {"nodes": view["nodes"][::-1], "links": view["links"][::-1]}
    assert dot_lines(view) == dot_lines(turned)
    assert sum(" -- " in line for line in dot_lines(view)) == 2


def test_hostile_names_stay_names() -> None:
    """Neither a quote nor a backslash ends a string of the graph, and no control character is printed."""
    view = view_of(node(0, name='x"]; y -- z; "\\'), node(1, name="\x1b[2Jred\nline"))
    lines = [*dot_lines(view), *text_lines(view)]
    assert '[label="x\\"]; y -- z; \\"\\\\"];' in lines[3]
    assert all(character.isprintable() for line in lines for character in line)


def test_the_picture_is_the_same_for_the_same_view() -> None:
    """This node in the middle, the rest around it, a line a link, whatever the order."""
    view = view_of(node(0, is_self=True, hops=0), node(1), node(2, hops=None))
    turned = view | {"nodes": view["nodes"][::-1], "links": view["links"][::-1]}
    lines = svg_lines(view)
    assert lines == svg_lines(turned)
    assert lines[1] == '<line x1="480.0" y1="480.0" x2="690.0" y2="480.0" stroke="silver"/>'
    assert sum(line.startswith("<circle") for line in lines) == 3


def test_hostile_names_are_no_markup_in_a_picture() -> None:
    """A name that closes an element is shown as it is."""
    lines = svg_lines(view_of(node(0, name="</text><script>&"), node(1, name="\x1b[2J\x00")))
    assert not any("<script" in line for line in lines)
    assert all(character.isprintable() for line in lines for character in line)


def test_a_picture_of_many_names_them_on_pointing_only() -> None:
    """500 labels would hide each other."""
    lines = svg_lines(view_of(*(node(number) for number in range(500))))
    assert not any(line.startswith("<text") for line in lines)
    assert sum("<title>" in line for line in lines) == 500


def test_mesh_asks_a_running_node(home: Path) -> None:
    """Two nodes and their link, as one object."""
    port = free_port()
    with running_node(home.with_name("other"), port=port):
        done = run_command(home, "mesh", "--json", peer=port)
    view = json.loads(done.stdout)
    assert (len(view["nodes"]), len(view["links"])) == (2, 1)
    assert sorted(each["hops"] for each in view["nodes"]) == [0, 1]
