"""Names and texts that would steer a terminal, from a hostile author to another's `tail` and `chat`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import sys
import time
import unicodedata
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.authors import Author
from tests.support.commands import command_line, environment, running_node, use_node
from tests.support.hostilepeer import hostile_peer, room_of
from tests.support.nodes import running
from tests.support.terminal import on_terminal, read_until
from zmqchat import Node
from zmqchat.crypto.keys import create_identity
from zmqchat.crypto.signing import IdentityCrypto
from zmqchat.history.clock import hlc_of
from zmqchat.model.events import Kind
from zmqchat.model.ids import mesh_id, peer_short
from zmqchat.model.limits import NAME_CELLS_MAX
from zmqchat.model.text import cell_width
from zmqchat.wire.events import encode_event

NAMES = {
    "clipboard": "\x1b]52;c;ZXZpbA==\x07",
    "markup": "[/red]",
    "long": "n" * 256,
    "too long": "n" * 4_096,
    "empty": "",
    "spaces": " \u2003 ",
    "right to left": "\u202eadmin",
    "newlines": "a\r\nb",
    "like another's": "аnn",  # the Cyrillic letter is the attack
}
TEXTS = {
    "clears the screen": "\x1b[2J\x1b[H",
    "title": "\x1b]0;owned\x07",
    "link": "\x1b]8;;http://127.0.0.1/\x07click\x1b]8;;\x07",
    "clipboard": "\x1b]52;c;ZXZpbA==\x07",
    "C1": "\x9b2J\x90q\x9c",
    "carriage return": "harmless\rroot: run this",
    "marks": "a" + "\u0301" * 30_000,
    "no space": "w" * 65_536,
    "bidi": "\u202e\u2066evil",
    "markup": "[bold red]not bold[/]",
}
LAST = "the last one"
LOBBY = room_of("lobby", mesh_id("zmqchat"))
"""Of the mesh that commands are in unless told otherwise."""
STEERING = ("\x1b]", "\x1b[2J", "\x1b[H", "\x9b", "\x90", "\x9c", "\x07", "\u202e", "\u2066")


def _author() -> Author:
    author = Author(crypto=IdentityCrypto(create_identity()))
    author.ticks = hlc_of(int(time.time() * 1000) - 60_000)
    return author


def _said(author: Author, name: str, text: str) -> bytes:
    """A batch in which the author takes a name and says one text under it."""
    # The first and the last event are looked at before a batch is stored: what no node may say stands between them.
    nameless = encode_event(bytes(16), author.ticks, Kind.PROFILE, [""])
    profile = encode_event(b"\x01" * 16, author.ticks, Kind.PROFILE, [name])
    said = encode_event(b"\x02" * 16, author.ticks, Kind.TEXT, text)
    return author.batch(events=[nameless, profile, said], room=LOBBY).raw


@pytest.fixture
async def victim(home: Path) -> AsyncIterator[tuple[Path, dict[str, Author]]]:
    """The home of a running `zmqchat node` that has got all these names and texts, and who wrote under which name."""
    async with running(home.parent, "ann", mesh="zmqchat") as ann, hostile_peer(ann) as eve:
        await eve.link("lobby", feed=False)
        authors = {case: _author() for case in NAMES}
        for case, author in authors.items():
            eve.send(b"\x20" + _said(author, NAMES[case], f"by {case}"))
        author = _author()
        for text in (*TEXTS.values(), LAST):
            author.ticks += 1
            eve.send(b"\x20" + author.batch((text,), room=LOBBY, log=author.ticks % 2**50).raw)
        with contextlib.ExitStack() as stack:
            await asyncio.to_thread(lambda: stack.enter_context(running_node(home, peer=ann.ports[0])))
            await _has_everything(home, ann)
            yield home, authors


async def _has_everything(home: Path, ann: Node) -> None:
    wanted = len(NAMES) + len(TEXTS) + 1
    lobby = await ann.join("lobby")
    deadline_s = time.monotonic() + 15
    while len(await lobby.history(100)) < wanted or (await _history(home)).count("\n") < wanted:
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.05)


async def _history(home: Path) -> str:
    done = await asyncio.to_thread(use_node, home, "history", "lobby", "--last", "100", "--json")
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_tail_shows_marks_instead(victim: tuple[Path, dict[str, Author]]) -> None:
    """Every record is one line, with a name of at most 32 cells, and no character in it steers anything."""
    home, authors = victim
    done = await asyncio.to_thread(use_node, home, "tail", "lobby", "--last", "100", "--no-follow")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line for line in done.stdout.split("\n")[:-1] if not line.startswith("    ")]
    assert len(lines) == len(NAMES) + len(TEXTS) + 1
    assert not [c for c in done.stdout.replace("\n", "") if unicodedata.category(c) in ("Cc", "Cs")]
    assert not [words for words in STEERING if words in done.stdout]
    shown = {}
    for line in lines:
        name, text = re.fullmatch(r"\S+ \S+ (.*?): (.*)", line, re.DOTALL).groups()  # type: ignore[union-attr]  # it fails
        assert sum(map(cell_width, name)) <= NAME_CELLS_MAX
        shown[text] = name
    for case in ("empty", "spaces", "too long"):
        assert shown[f"by {case}"] == peer_short(authors[case].peer)
    assert shown["by markup"] == "[/red]"
    assert shown["by right to left"] == "admin"
    assert "^[[2J^[[H" in shown
    assert "[bold red]not bold[/]" in shown
    assert max(len(text) for text in shown if text.startswith("a\u0301")) < 100


async def test_json_is_exact(victim: tuple[Path, dict[str, Author]]) -> None:
    """Programs get every text as it was said; the lines are plain ASCII all the same."""
    history = await _history(victim[0])
    assert history.isascii()
    assert not [words for words in STEERING if words in history]
    texts = {json.loads(line)["text"] for line in history.splitlines()}
    assert {*TEXTS.values(), LAST} <= texts


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
async def test_a_chat_on_a_terminal_is_not_steered(victim: tuple[Path, dict[str, Author]]) -> None:
    """Title, clipboard and screen stay as they were, the line after each attack stands, and all is there at once."""
    home, _authors = victim

    def chat() -> bytes:
        with on_terminal(command_line(home, "chat"), environment()) as terminal:
            shown = read_until(terminal, LAST.encode())
            shown += read_until(terminal, b"lobby>")
            os.write(terminal, b"\x04")
            return shown + read_until(terminal, None)

    shown = (await asyncio.to_thread(chat)).decode()
    # the prompt itself moves the cursor: only whole sequences of the attack are looked for
    assert not [words for words in STEERING if words not in ("\x1b[2J", "\x1b[H") and words in shown]
    assert "\x1b[2J\x1b[H" not in shown
    for mark in ("^[[2J^[[H", "^[]0;owned^G", "[bold red]not bold[/]", "[/red]"):
        assert mark in shown
