"""The picture of the mesh: dots apart, names readable, hostile names harmless, its own background."""

from __future__ import annotations

import itertools
import math
import xml.etree.ElementTree as ElementTree

import pytest

from tests.support.madeupmesh import HOSTILE_NAMES, mesh_of, node, view_of
from zmqchat.cli.mesh_picture import WIDTH, svg_lines

SVG = "{http://www.w3.org/2000/svg}"


def parsed(view: dict[str, object]) -> ElementTree.Element:
    """The picture as a tree; fails where it is not well-formed."""
    return ElementTree.fromstring("\n".join(svg_lines(view)))


def dots(picture: ElementTree.Element) -> list[tuple[float, float, float]]:
    """Middle and radius of each node; squares by the circle inside."""
    found = []
    for each in picture.iter():
        if each.find(f"{SVG}title") is None:
            continue
        if each.tag == f"{SVG}circle":
            found.append((float(each.attrib["cx"]), float(each.attrib["cy"]), float(each.attrib["r"])))
        else:
            radius = float(each.attrib["width"]) / 2
            found.append((float(each.attrib["x"]) + radius, float(each.attrib["y"]) + radius, radius))
    return found


@pytest.mark.parametrize(
    ("count", "links_each"), [(1, None), (2, None), (5, None), (40, None), (40, 4), (200, 8), (500, 8), (2_000, 8)]
)
def test_dots_do_not_hide_each_other(count: int, links_each: int | None) -> None:
    """Each node has a dot inside the picture, however many there are."""
    found = dots(parsed(mesh_of(count, subnets=3, links_each=links_each)))
    assert len(found) == count
    for x, y, radius in found:
        assert radius <= x <= WIDTH - radius
        assert radius <= y
    for (x1, y1, r1), (x2, y2, r2) in itertools.combinations(found, 2):
        assert math.hypot(x1 - x2, y1 - y2) > r1 + r2


def test_the_same_view_is_the_same_picture() -> None:
    """In whatever order nodes and links come; a line a link."""
    view = view_of(node(0, is_self=True, hops=0), node(1), node(2, hops=None))
    turned = view | {"nodes": view["nodes"][::-1], "links": view["links"][::-1]}
    assert svg_lines(view) == svg_lines(turned)
    assert sum(line.startswith("<line") for line in svg_lines(view)) == 2


def test_what_matters_has_a_look_of_its_own() -> None:
    """This node, slow ones, those that are gone, keepers."""
    me = node(0, is_self=True, hops=0)
    lines = svg_lines(view_of(me, node(1, slow=True), node(2, online=False), node(3, keeps=2)))
    for name, shape in (("node 0", "self"), ("node 1", "slow"), ("node 2", "off"), ("node 3", "<rect")):
        [line] = [line for line in lines if f"<title>{name}," in line]
        assert shape in line


def test_hostile_names_are_no_markup() -> None:
    """They are shown as they are, on one line, cut where there is no room."""
    nodes = [node(number, name=name) for number, name in enumerate(HOSTILE_NAMES)]
    view = view_of(*nodes, node(9, subnet="</text><script>"))
    assert not any("<script" in line for line in svg_lines(view))
    assert all(character.isprintable() for line in svg_lines(view) for character in line)
    parsed(view)


def test_a_picture_of_many_names_them_on_pointing_only() -> None:
    """500 labels would hide each other; what is left is the title and the legend."""
    view = mesh_of(500, subnets=20, links_each=8)
    texts = [element.text for element in parsed(view).iter(f"{SVG}text")]
    assert texts[0] == f"500 nodes, {len(view['links']):,} known links, partial mesh"
    assert texts[1] == "10.0.0.0/24: 25 nodes"
    assert texts[-2] == "12 other subnets: 300 nodes"
    assert len(texts) == 11
    assert sum(line.count("<title>") for line in svg_lines(view)) == 500


def test_it_brings_its_background() -> None:
    """White, near-black in viewers that ask for dark ones, and no colour of a text without one behind it."""
    lines = svg_lines(mesh_of(3))
    assert "prefers-color-scheme:dark" in lines[1]
    assert 'class="page"' in lines[2]
