"""Lint, format and types, run as tests so that one command says whether the tree is sound."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.sources import REPO


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
def test_a_caller_passes_strict_checks() -> None:
    """A program that uses the public names gets full types from the installed package."""
    program = (
        "from zmqchat import Message, Node, Sent\n"
        "async def main() -> None:\n"
        "    async with Node('ann') as node:\n"
        "        room = await node.join('lobby')\n"
        "        sent: Sent = await room.send('hello', until='stored')\n"
        "        async for message in room.messages(after='read'):\n"
        "            text: str | None = message.text\n"
        "            print(sent.id, message.author.name, text, message.live)\n"
        "def shown(message: Message) -> str:\n"
        "    return f'{message.author.name}: {message.text}'\n"
    )
    _run("mypy", "--strict", "-c", program)
