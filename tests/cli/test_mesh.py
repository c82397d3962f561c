"""`mesh`: the mesh as lines and as a graph, hostile names included."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.support.commands import command_line, environment, free_port, run_command, running_node
from tests.support.madeupmesh import node, view_of
from tests.support.terminal import on_terminal, read_until
from zmqchat.cli.mesh import dot_lines, text_lines
from zmqchat.model.text import cell_width


def test_the_nearest_are_listed_first() -> None:
    """This node, then those linked to, then those beyond, with the name of who leads there."""
    me, near = node(0, name="ann", is_self=True, hops=0), node(1, name="bob", rtt_s=0.0012)
    far = node(2, name="cy", linked=False, hops=2, via=near["id"])
    assert text_lines(view_of(far, near, me)) == [
        "3 nodes, 2 known links, full mesh",
        "  10.0.0.0/24: 3 nodes",
        "",
        "ann  aaaa-aaaa  0          this node",
        "bob  baaa-aaaa  1  1.2 ms  direct",
        "cy   caaa-aaaa  2          via bob",
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


def test_mesh_asks_a_running_node(home: Path) -> None:
    """Two nodes and their link, as one object."""
    port = free_port()
    with running_node(home.with_name("other"), port=port):
        done = run_command(home, "mesh", "--json", peer=port)
    view = json.loads(done.stdout)
    assert (len(view["nodes"]), len(view["links"])) == (2, 1)
    assert sorted(each["hops"] for each in view["nodes"]) == [0, 1]


def test_watching_needs_a_terminal(home: Path) -> None:
    """One line says so, and what to do."""
    done = run_command(home, "mesh", "--watch")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "needs a terminal" in done.stderr
    assert not home.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_watching_draws_what_changes_and_gives_the_terminal_back(home: Path) -> None:
    """A node comes and is drawn; Ctrl-C ends it, with the former screen and the cursor."""
    port = free_port()
    with running_node(home, port=port), on_terminal(command_line(home, "mesh", "--watch"), environment()) as terminal:
        shown = read_until(terminal, b"1 node, ")
        with running_node(home.with_name("other"), peer=port):
            shown += read_until(terminal, b"direct")
        os.write(terminal, b"\x03")
        shown += read_until(terminal, None)
    assert shown.count(b"\x1b[?1049h") == shown.count(b"\x1b[?1049l") == 1
    assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l")
    assert b"Traceback" not in shown


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_on_a_terminal_it_is_drawn(home: Path) -> None:
    """Elsewhere, and with --all, each node has a line with its id."""
    with running_node(home):
        with on_terminal(command_line(home, "mesh"), environment()) as terminal:
            assert b"@  home  this node" in read_until(terminal, None)
        with on_terminal(command_line(home, "mesh", "--all"), environment()) as terminal:
            assert b"0    this node" in read_until(terminal, None)
