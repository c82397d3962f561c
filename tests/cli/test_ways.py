"""Words for links and ways: the same everywhere, and never a number where nothing is known."""

from __future__ import annotations

from tests.support.madeupmesh import node
from zmqchat.cli import ways


def test_how_a_node_is_reached() -> None:
    """A link, who leads there, nobody known, and out of touch; what else matters stands behind it."""
    names = {"b": "bob"}
    assert ways.way_text(node(0, is_self=True), names) == "this node"
    assert ways.way_text(node(1), names) == "direct"
    assert ways.way_text(node(2, linked=False, via="b"), names) == "via bob"
    assert ways.way_text(node(3, linked=False), names) == "via others"
    assert ways.way_text(node(4, linked=False, online=False, via="b"), names) == "offline"
    far = node(2, linked=False, via="b", gapped=True)
    assert ways.way_and_notes(far, names) == "via bob, gapped"
    assert ways.way_and_notes(node(5, slow=True, keeps=1), names) == "direct, slow, keeper"


def test_numbers() -> None:
    """With their units; what is unknown is a question mark or nothing."""
    assert [ways.rtt_text({"rtt_s": seconds}) for seconds in (0.00123, 0.5, 2, None)] == [
        "1.2 ms",
        "500.0 ms",
        "2.0 s",
        "",
    ]
    assert [ways.hops_text({"hops": hops}) for hops in (0, 3, None)] == ["0", "3", "?"]
    assert [ways.lacks_text({"lacks": lacks}) for lacks in (0, 12_345, None)] == ["0", "12,345", "?"]


def test_cut_texts_show_that_they_are() -> None:
    """By cells, not characters; what fits is left alone."""
    assert ways.cut("exact", 5) == "exact"
    assert ways.cut("longer", 5) == "long…"
    assert ways.cut("\u6f22\u6f22\u6f22", 5) == "\u6f22\u6f22…"
