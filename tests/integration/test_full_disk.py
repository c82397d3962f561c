"""A disk that fills up under a running node: a small tmpfs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.commands import running_node, use_node
from tests.support.nodes import eventually, has_texts, running, share_room
from tests.support.requirements import require
from zmqchat import Message, NotStored, Room, StoreFull


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    require(os.name == "posix" and os.geteuid() == 0 and shutil.which("mount"), "mounting a tmpfs takes root and mount")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "zmqchat-test", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    require(mounted.returncode == 0, f"a tmpfs can't be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=False)


def fill(disk: Path) -> Path:
    """Take all the space that is left."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65_536, 4_096):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return ballast


async def send_until_full(room: Room) -> list[str]:
    """Send until the disk is full; what was sent before."""
    texts: list[str] = []
    while True:
        text = f"{len(texts)} {'x' * 30_000}"
        try:
            await asyncio.wait_for(room.send(text), 20)
        except StoreFull:
            return texts
        texts.append(text)
        assert len(texts) < 2_000


async def test_a_full_disk_is_an_error_of_that_send_and_no_more(small_disk: Path, home: Path) -> None:
    """StoreFull; reading and the link go on; once there is room, sending and what peers said meanwhile work again."""
    async with running(small_disk) as ann, running(home, "bob", ann) as bob:
        here, there = await share_room("lobby", ann, bob)
        assert sum("tmpfs" in notice for notice in ann.notices) == 1, ann.notices
        await here.send("before")
        ballast = fill(small_disk)
        texts = await send_until_full(here)
        with pytest.raises(StoreFull):
            await asyncio.wait_for(here.post("lost"), 20)
        lost = here.post("lost too")
        with pytest.raises(StoreFull):
            await lost
        assert [message.text for message in await here.history(10_000)] == ["before", *texts]
        await has_texts(there, ["before", *texts])
        meanwhile = await there.send("said meanwhile")
        assert [peer.name for peer in ann.peers] == ["bob"]
        ballast.unlink()
        await eventually(lambda: here.tail.next_number > len(texts) + 2)
        after = await here.send("after", until="held", timeout=20)
        expected = ["before", *texts, "said meanwhile", "after"]
        await has_texts(there, expected)
        await has_texts(here, expected)
        with pytest.raises(NotStored):
            await lost  # its number names another message by now
        assert [m.id for m in (await here.history(2))] == [meanwhile.id, after.id]


async def test_send_all_tells_of_a_full_disk(small_disk: Path) -> None:
    """What was reported before is durable, nothing after it is."""
    async with running(small_disk) as ann:
        lobby = await ann.join("lobby")
        ballast = fill(small_disk)
        sents = []

        async def stream() -> None:
            async for sent in lobby.send_all(f"{n} {'x' * 20_000}" for n in range(5_000)):
                sents.append(sent)

        with pytest.raises(StoreFull):
            await asyncio.wait_for(stream(), 60)
        ballast.unlink()
        while True:
            with contextlib.suppress(StoreFull):  # what was under way while the disk was full takes this one along
                await lobby.send("again")
                break

        async def later() -> AsyncIterator[str]:
            for number in range(50):
                yield f"later {number}"

        # The numbers of what was lost name other messages now, and nothing of that stops a later stream.
        assert len([sent async for sent in lobby.send_all(f"plain {n}" for n in range(600))]) == 600
        assert len([sent async for sent in lobby.send_all(later())]) == 50
        found: list[Message] = (await lobby.history(10_000))[:-650]
        assert [sent.id for sent in sents] == [message.id for message in found][: len(sents)]
        assert found[-1].text == "again"
        numbers = [str(message.text).split()[0] for message in found[:-1]]
        assert numbers == [str(n) for n in range(len(numbers))]
    async with running(small_disk) as ann:
        assert len(await (await ann.join("lobby")).history(10_000)) == len(found) + 650


def test_a_full_disk_is_told_once_by_send(small_disk: Path) -> None:
    """Of a thousand lines those that are acknowledged are kept; why the rest is not sent stands there once."""
    home = small_disk / "ann"
    with running_node(home):
        ballast = fill(small_disk)
        data = b"".join(b"%d %s\n" % (number, b"x" * 30_000) for number in range(1_000))
        done = use_node(home, "send", "lobby", "-", "--json", data=data)
        kept = [json.loads(line)["text"].split()[0] for line in done.stdout.splitlines()]
        assert done.returncode == 1
        why, count = done.stderr.splitlines()
        assert "no room left on the disk" in why
        assert count == f"zmqchat: {1_000 - len(kept):,} lines were not sent"
        ballast.unlink()
        seen = use_node(home, "history", "lobby", "--last", "2000", "--json").stdout.splitlines()
        assert [json.loads(line)["text"].split()[0] for line in seen] == kept
