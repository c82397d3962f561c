"""The trace and its filters, over real runs."""

from __future__ import annotations

from zmqchat.protocol.facts import StopRequested
from zmqchat.sim.options import Options
from zmqchat.sim.running import run_checked
from zmqchat.sim.trace import Trace, TraceFilter

OPTIONS = Options(seed=4, scenario="rooms", nodes=3, duration_s=6.0)


def traced(only: TraceFilter | None = None, options: Options = OPTIONS) -> list[str]:
    """The lines of a run."""
    lines: list[str] = []
    assert run_checked(options, [Trace(lines.append, only)]).failed == ()
    return lines


def test_a_line_tells_when_where_and_what() -> None:
    """Facts that go in and effects that come out, peers by their nodes and batches by their texts."""
    lines = traced()
    words = [line.split() for line in lines]
    assert all(word[1].startswith("node") and word[2] in (">", "<") for word in words)
    assert [float(word[0]) for word in words] == sorted(float(word[0]) for word in words)
    pushes = [line for line in lines if "FeedReceived" in line and "'text" in line]
    assert pushes
    assert all("peer=node" in line and "| Push node" in line for line in pushes)
    assert not [line for line in lines if " Ping " in line or "SetTimer" in line]


def test_a_node_and_a_room_can_be_chosen() -> None:
    """Only what happens there, only what names it."""
    lines = traced(TraceFilter(node=2, room="kitchen"))
    assert lines
    assert {line.split()[1] for line in lines} == {"node2"}
    assert all("kitchen" in line or "node" in line for line in lines)
    assert not [line for line in lines if "room=lobby" in line]


def test_a_message_can_be_followed() -> None:
    """From its commit at the author through the pushes to the acknowledgements, and nothing that is not about it."""
    options = Options(seed=4, nodes=3, duration_s=6.0)
    lines = traced(TraceFilter(message="text 3"), options)
    kinds = [line.split()[3] for line in lines]
    assert kinds[0] == "Store"
    assert {"PublishFeed", "FeedReceived", "Deliver", "OwnStored"} <= set(kinds)
    assert [line for line in lines if "| Have" in line]
    assert not [line for line in lines if "'text 2'" in line]


def test_a_message_that_was_never_said_has_no_line() -> None:
    """An unknown text matches nothing."""
    assert traced(TraceFilter(message="never said")) == []


def test_a_sink_without_a_world_is_silent() -> None:
    """What happens while the world is made is not told."""
    lines: list[str] = []
    sink = Trace(lines.append)
    sink.at(0.0, 0, StopRequested())
    assert lines == []
