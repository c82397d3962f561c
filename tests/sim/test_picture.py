"""Pictures of runs: well-formed, the same each time, with what they are about."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ElementTree
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from zmqchat.sim.options import Options
from zmqchat.sim.picture import DOT, Way, network_picture
from zmqchat.sim.running import Snapshot, run_checked

if TYPE_CHECKING:
    from zmqchat.sim.world import World

OPTIONS = Options(seed=4, nodes=4, duration_s=6.0)
SVG = "{http://www.w3.org/2000/svg}"


def counted(picture: str) -> dict[str, int]:
    """How many of each element the picture has."""
    elements = [element.tag.removeprefix(SVG) for element in ElementTree.fromstring(picture).iter()]
    return {name: elements.count(name) for name in elements}


def test_the_network_at_the_end_shows_all_nodes_and_links() -> None:
    """Four nodes in a full mesh have six links."""
    snapshot = Snapshot(network_picture)
    run_checked(OPTIONS, (), snapshot)
    assert counted(snapshot.taken)["circle"] == 4
    assert counted(snapshot.taken)["line"] == 6


def test_the_network_can_be_drawn_at_a_moment() -> None:
    """At the very beginning nobody is linked yet, and a picture takes no part in the run."""
    snapshot = Snapshot(network_picture, 0.01)
    assert run_checked(OPTIONS, (), snapshot) == run_checked(OPTIONS)
    assert counted(snapshot.taken)["circle"] == 4
    assert "line" not in counted(snapshot.taken)


def test_the_way_of_a_message_is_a_tree() -> None:
    """Each node once, each but the author with a line from whom it came; the same file each time."""
    pictures = []
    for _ in range(2):
        way = Way("text 3")
        run_checked(OPTIONS, [way])
        pictures.append(way.picture())
    assert pictures[0] == pictures[1]
    assert counted(pictures[0])["circle"] == 4
    assert counted(pictures[0])["line"] == 3
    assert " ms" in pictures[0]


def test_a_message_that_was_never_said_makes_an_empty_picture() -> None:
    """It says so."""
    way = Way("never <said>")
    run_checked(OPTIONS, [way])
    assert "circle" not in counted(way.picture())
    assert "never &lt;said&gt;" in way.picture()


def test_dots_and_numbers_of_many_nodes_do_not_hide_each_other() -> None:
    """The ring grows with the nodes; from some number on they are named on pointing only."""
    for count, numbers in ((60, 60), (500, 0)):
        nodes = [
            SimpleNamespace(number=number, is_up=False, is_responsive=True, process=None) for number in range(count)
        ]
        picture = ElementTree.fromstring(network_picture(cast("World", SimpleNamespace(nodes=nodes, now_s=1.0))))
        places = [(float(each.attrib["cx"]), float(each.attrib["cy"])) for each in picture.iter(f"{SVG}circle")]
        assert len(places) == count
        assert min(abs(x1 - x2) + abs(y1 - y2) for (x1, y1), (x2, y2) in itertools.combinations(places, 2)) > 2 * DOT
        assert len([*picture.iter(f"{SVG}text")]) == numbers + 1
        _left, _top, width, height = map(float, picture.attrib["viewBox"].split())
        assert all(x + DOT < width and y + DOT < height for x, y in places)
