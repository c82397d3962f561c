"""Pictures of runs: well-formed, the same each time, with what they are about."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from zmqchat.sim.options import Options
from zmqchat.sim.picture import Way, network_picture
from zmqchat.sim.running import Snapshot, run_checked

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
