"""What a node of one's own has to tell reaches its user, whenever it comes."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path

import pytest

from tests.support.commands import free_port, run_command, running, running_node
from tests.support.control_clients import serving
from zmqchat.cli.client import connect
from zmqchat.cli.notices import NoticeWatch
from zmqchat.cli.options import StartOptions
from zmqchat.cli.presence import happenings
from zmqchat.cli.session import Session
from zmqchat.node.values import NoticeGiven

SHARED = "this node's identity is used by two running nodes"


def session_of(home: Path, *known: str) -> Session:
    """A session with the node that serves this home; its user was told of the known notices."""
    client = connect(home)
    assert client is not None
    return Session(StartOptions(home=home), client, None, known)


def copied(home: Path) -> Path:
    """A home that has an identity, and a copy of it."""
    assert run_command(home, "send", "lobby", "one", "--linger", "0").returncode == 0
    copy = home.with_name("copy")
    shutil.copytree(home, copy, ignore=shutil.ignore_patterns("control.sock", "lock"))
    return copy


async def test_what_came_before_the_events_is_told_once(tmp_path: Path) -> None:
    """Between the start and the first event a notice may come: it is told, and what was told already is not."""
    async with serving(tmp_path) as (node, _client):
        node.notices += ["told at the start", "came in between"]
        session = await asyncio.to_thread(session_of, node.home, "told at the start")
        events = happenings(session)
        assert await asyncio.to_thread(next, events) == {"event": "NoticeGiven", "text": "came in between"}
        node.happened.put_nowait(NoticeGiven("came in between"))
        node.happened.put_nowait(NoticeGiven("new"))
        assert (await asyncio.to_thread(next, events))["text"] == "new"
        await asyncio.to_thread(session.close)


@pytest.mark.parametrize("command", [["node"], ["tail", "lobby"], ["chat", "--plain"]], ids=lambda words: words[0])
def test_both_users_of_a_copied_home_are_told_at_once(home: Path, command: list[str]) -> None:
    """Whatever the copy runs, both learn within two seconds that their identity is used twice."""
    copy, port = copied(home), free_port()
    with running_node(home, port=port) as original:
        started_s = time.monotonic()
        with running(copy, *command, peer=port) as second:
            original.wait_for(SHARED)
            second.wait_for(SHARED)
            assert time.monotonic() - started_s < 10.0  # two seconds, and the start of a process on a busy machine


def test_a_short_command_on_a_copied_home_tells_too(home: Path) -> None:
    """The line comes at the end of the command at the latest, and the address that was given is not called silent."""
    copy, port = copied(home), free_port()
    with running_node(home, port=port):
        done = run_command(copy, "peers", peer=port)
        assert SHARED in done.stderr
        assert f"127.0.0.1:{port} refuses this node: its identity is used by two running nodes" in done.stderr


async def test_a_watch_tells_only_of_a_node_of_ones_own(tmp_path: Path) -> None:
    """Who uses a node that ran before is not bothered with what its own user sees."""
    async with serving(tmp_path) as (node, _client):
        node.notices.append("for its own user")
        told: list[str] = []
        session = await asyncio.to_thread(session_of, node.home)
        with NoticeWatch(session, told.append):
            await asyncio.to_thread(session.status)
        await asyncio.to_thread(session.close)
        assert told == []
