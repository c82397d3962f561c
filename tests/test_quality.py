"""Lint, format and types, run as tests so that one command says whether the tree is sound."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.sources import REPO

CALLER = """
import zmqchat.sync
from zmqchat import Gap, Message, Node, Peer, Sent


async def main() -> None:
    async with Node("ann", peers=["localhost:8000"]) as node:
        room = await node.join("lobby")
        sent: Sent = await room.send("hello", until="stored")
        online: list[Peer] = node.peers
        async for message in room.messages(after="read"):
            if isinstance(message, Gap):
                continue
            text: str | None = message.text
            print(sent.id, message.author.name, text, message.live, online)
        async for each in room.send_all(["a", "b"]):
            print(each.id)


def shown(message: Message) -> str:
    return f"{message.author.name}: {message.text}"


with zmqchat.sync.Node("bob") as blocking:
    print([shown(message) for message in blocking.join("lobby").history(last=3)])
"""


def _run(*arguments: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=REPO, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert result.returncode == 0, result.stdout


def test_ruff_finds_nothing() -> None:
    """The lint rules of ruff.toml hold."""
    _run("ruff", "check", "--no-cache", ".")


def test_the_code_is_formatted() -> None:
    """`ruff format` would change nothing."""
    _run("ruff", "format", "--no-cache", "--check", ".")


@pytest.mark.timeout(300)
def test_types_are_strict() -> None:
    """`mypy --strict` passes for the package, its tests and its examples, as of Python 3.10."""
    _run("mypy")


@pytest.mark.timeout(120)
def test_a_caller_passes_strict_checks(tmp_path: Path) -> None:
    """A program that uses the public names gets full types from them."""
    (tmp_path / "caller.py").write_text(CALLER, encoding="utf-8")
    settings = f"[mypy]\nstrict = True\npython_version = 3.10\nmypy_path = {REPO}\nfollow_imports = silent\n"
    (tmp_path / "mypy.ini").write_text(settings, encoding="utf-8")
    _run("mypy", "--config-file", str(tmp_path / "mypy.ini"), str(tmp_path / "caller.py"))
