"""The command line in processes of its own, on the loopback interface and without multicast."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.ports import free_port as free_port
from tests.support.programs import Program
from tests.support.sources import REPO

COMMAND_TIMEOUT_S = 60.0


def environment() -> dict[str, str]:
    """What commands of tests run in: no colour, the package of this checkout."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ZMQCHAT_", "PYTEST_"))}
    return {**kept, "PYTHONPATH": str(REPO), "NO_COLOR": "1", "COLUMNS": "100"}


def command_line(home: Path, *arguments: str, port: int | None = None, peer: int | None = None) -> list[str]:
    """`zmqchat` with a home on the loopback interface."""
    options = ["--home", str(home), "--name", home.name, "--no-discovery"]
    options += ["--listen", f"127.0.0.1:{port or free_port()}"]
    options += ["--peer", f"127.0.0.1:{peer}"] if peer is not None else []
    return [sys.executable, "-m", "zmqchat", *options, *arguments]


def run_command(
    home: Path, *arguments: str, peer: int | None = None, data: bytes = b""
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    done = subprocess.run(
        command_line(home, *arguments, peer=peer),
        input=data,
        capture_output=True,
        env=environment(),
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def use_node(home: Path, *arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[str]:
    """Run one command without start options, as on a home whose node runs."""
    done = subprocess.run(
        [sys.executable, "-m", "zmqchat", "--home", str(home), *arguments],
        input=data,
        capture_output=True,
        env=environment(),
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@contextlib.contextmanager
def running(home: Path, *arguments: str, port: int | None = None, peer: int | None = None) -> Iterator[Program]:
    """A command that goes on until the end of the block."""
    with Program(command_line(home, *arguments, port=port, peer=peer), environment(), home.parent) as program:
        yield program


@contextlib.contextmanager
def running_node(home: Path, *, port: int | None = None, peer: int | None = None) -> Iterator[Program]:
    """`zmqchat node` on a home, ready for commands."""
    with running(home, "node", port=port, peer=peer) as program:
        program.wait_for("listens at")
        yield program
