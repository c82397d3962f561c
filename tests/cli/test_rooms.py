"""`join`, `leave` and `rooms` in real processes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.support import nodes
from tests.support.commands import free_port, run_command, running, running_node, use_node


def test_membership_is_kept_until_leave(home: Path) -> None:
    """Each command is a run of its own; the lobby is there from the first."""

    def names() -> list[str]:
        return [json.loads(line)["room"] for line in run_command(home, "rooms", "--json").stdout.splitlines()]

    assert names() == ["lobby"]
    assert run_command(home, "join", "kitchen").returncode == 0
    assert names() == ["kitchen", "lobby"]
    assert "1 member " in run_command(home, "rooms").stdout
    assert run_command(home, "leave", "kitchen").stderr == ""
    assert names() == ["lobby"]
    assert "was not in kitchen" in run_command(home, "leave", "kitchen").stderr
    run_command(home, "history", "garden")
    assert names() == ["garden", "lobby"]


def test_unread_counts_what_others_said_and_nobody_read(home: Path) -> None:
    """Neither own messages nor bookkeeping count; what a chat has shown is read."""
    port = free_port()
    other = home.with_name("other")

    def unread() -> int:
        count = json.loads(use_node(home, "rooms", "--json").stdout)["unread"]
        assert isinstance(count, int)
        return count

    with running_node(home, port=port), running_node(other, peer=port):
        use_node(home, "send", "lobby", "mine")
        use_node(other, "send", "lobby", "-", "--until", "held", data=b"one\ntwo\nthree\n")
        assert unread() == 3
        with running(home, "chat", "--plain") as chat:
            chat.wait_for(": three$")
            chat.type("/rooms\n")
            chat.wait_for("lobby: 2 members")
        assert unread() == 0


async def test_one_room_too_many_is_told_in_one_line(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command says to leave one, and a chat stays where it is."""
    monkeypatch.setattr("zmqchat.protocol.membership.ROOMS_MAX", 2)

    def chat(folder: Path) -> None:
        with running(folder, "chat", "--plain") as program:
            program.wait_for("lobby")
            program.type("/join garden\nstill here\n")
            program.wait_for("leave one")
            program.wait_for(": still here")

    async with nodes.running(home) as ann:
        await ann.join("kitchen")
        for words in (["join", "garden"], ["send", "garden", "hello"], ["history", "garden"]):
            done = await asyncio.to_thread(use_node, ann.home, *words)
            assert done.returncode == 1
            assert done.stdout == ""
            assert len(done.stderr.splitlines()) == 1 and "leave one" in done.stderr
        await asyncio.to_thread(chat, ann.home)
        assert [room.name for room in ann.rooms] == ["kitchen", "lobby"]
        assert (await (await ann.join("lobby")).history(1))[0].text == "still here"
