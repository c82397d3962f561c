"""The drawing of the mesh: a line a node while there are few, a sign a node when there are many, never too large."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.madeupmesh import HOSTILE_NAMES, mesh_of, node, view_of
from zmqchat.cli.mesh_drawing import drawing, sign_of
from zmqchat.cli.output import cells


def drawn(view: dict[str, Any], columns: int = 80, rows: int | None = None) -> list[str]:
    """The lines as text."""
    return [line.plain for line in drawing(view, columns, rows)]


def test_few_nodes_have_a_line_each() -> None:
    """With how they are reached, what is wrong with them, and whom they have links to."""
    me, near = node(0, name="ann", is_self=True, hops=0, linked=False), node(1, name="bob", rtt_s=0.0012)
    far = node(2, name="cy", linked=False, hops=2, via=near["id"], subnet="10.0.7.0/24", keeps=2)
    gone = node(3, name="dee", linked=False, hops=None, online=False, subnet="")
    view = view_of(me, near, far, gone) | {"links": [[me["id"], near["id"]], [near["id"], far["id"]]]}
    assert drawn(view) == [
        "4 nodes, 2 known links, full mesh, 3 subnets",
        "1 at 1 hop, 1 at 2 hops, 1 keeping rooms of ours, 1 offline",
        "",
        "@  ann  this node                10.0.0.0/24  linked to bob",
        "1  bob  direct           1.2 ms               linked to ann, cy",
        "k  cy   via bob, keeper          10.0.7.0/24  linked to bob",
        "x  dee  offline                  unknown",
    ]


def test_a_full_mesh_of_one_subnet_is_short() -> None:
    """That all have links to all is said in a word, and the subnet once."""
    lines = drawn(mesh_of(3))
    assert lines[0] == "3 nodes, 3 known links, full mesh"
    assert lines[2] == "10.0.0.0/24"
    assert all(line.endswith("linked to all") for line in lines[3:])


def test_what_there_is_no_room_for_is_counted() -> None:
    """Of many whom a node is linked to the nearest are named."""
    nodes = [node(number, hops=min(number, 1), is_self=not number) for number in range(20)]
    lines = drawn(view_of(*nodes) | {"links": [[nodes[3]["id"], each["id"]] for each in nodes[4:15]]})
    assert any(line.endswith("linked to node 10, node 11, node 12, node 13 +7") for line in lines)


@pytest.mark.parametrize("columns", [60, 80, 200])
@pytest.mark.parametrize(("count", "subnets"), [(1, 1), (2, 2), (24, 5), (40, 3), (500, 1), (500, 60), (3_000, 3)])
def test_any_mesh_fits_any_terminal(count: int, subnets: int, columns: int) -> None:
    """No line is too wide, the lines are few, and where rows are given no more of them are used."""
    view = mesh_of(count, subnets=subnets, links_each=8 if count > 40 else None)
    lines = drawn(view, columns)
    assert max(map(cells, lines)) <= columns
    assert len(lines) <= 40
    for rows in (24, 10, 3, 1):
        assert len(drawn(view, columns, rows)) <= rows


def test_every_node_of_a_large_mesh_has_a_sign() -> None:
    """500 in four subnets: grouped, this node's subnet first, each as far as it is."""
    view = mesh_of(500, subnets=4, links_each=8)
    lines = drawn(view, 100)
    assert lines[0].startswith("500 nodes, ")
    start = next(index for index, line in enumerate(lines) if line.startswith("10.0.0.0/24"))
    signs = "".join(line[19:] for line in lines[start : lines.index("", start)])
    assert sorted(signs.replace(" ", "")) == sorted(map(sign_of, view["nodes"]))
    assert signs.startswith("@")
    assert any(line.startswith("direct ") for line in lines)
    assert any(line.startswith("between   10.0.0.0/24 – 10.0.1.0/24: ") for line in lines)


def test_too_many_for_signs_are_counted() -> None:
    """3,000 nodes of one subnet are a line of counts."""
    lines = drawn(mesh_of(3_000, links_each=8))
    [counts] = [line for line in lines if line.startswith("10.0.0.0/24")]
    assert "@×1 " in counts
    assert "3×" in counts


def test_subnets_that_find_no_room_are_counted() -> None:
    """Sixty of them: the own one, the largest, and how many more there are."""
    lines = drawn(mesh_of(500, subnets=60, links_each=8))
    assert "and 48 more subnets with 392 nodes" in lines


def test_hostile_names_steer_nothing() -> None:
    """In the table and in the map."""
    for count in (len(HOSTILE_NAMES), 40):
        nodes = [node(number, name=HOSTILE_NAMES[number % len(HOSTILE_NAMES)]) for number in range(count)]
        nodes[0] |= {"is_self": True, "hops": 0, "subnet": "\x1b[2J\n/24"}
        lines = drawn(view_of(*nodes))
        assert all(character.isprintable() for line in lines for character in line)
        assert max(map(cells, lines)) <= 80
