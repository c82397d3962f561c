"""Where the control socket of a home is."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import running_node
from zmqchat.model.errors import ControlError
from zmqchat.node.control_address import (
    TOKEN_FILE,
    LoopbackAddress,
    prepared_socket_path,
    read_loopback_address,
    remove_stale_sockets,
    write_loopback_address,
)
from zmqchat.node.home import control_path


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where sockets of homes with long names lie; shorter than tmp_path, as sockets need it."""
    with tempfile.TemporaryDirectory(prefix="zmqc-") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        made = Path(folder) / "zmqchat"
        made.mkdir(mode=0o700)
        yield made


def left_over(path: Path) -> Path:
    """A socket that nobody listens at, as a killed process leaves it."""
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
    return path


def test_port_and_token_are_read_back(tmp_path: Path) -> None:
    """What a node writes its commands find, in a file for this user alone."""
    write_loopback_address(tmp_path, LoopbackAddress(4711, "secret"))
    write_loopback_address(tmp_path, LoopbackAddress(4712, "newer"))
    assert read_loopback_address(tmp_path) == LoopbackAddress(4712, "newer")
    assert (tmp_path / TOKEN_FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"port": 0, "token": "x"}', '{"port": "1", "token": "x"}', '{"port": 1}']
)
def test_a_damaged_file_means_that_no_node_listens(tmp_path: Path, text: str) -> None:
    """Whatever the file says, the answer is an address or none."""
    (tmp_path / TOKEN_FILE).write_text(text)
    assert read_loopback_address(tmp_path) is None


def test_a_stale_socket_is_removed(tmp_path: Path) -> None:
    """Who holds the lock may bind where a killed process left its socket."""
    path = tmp_path / "control.sock"
    path.write_text("")
    with prepared_socket_path(tmp_path) as prepared:
        assert prepared == path
        assert not path.exists()


def test_a_folder_that_others_may_write_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket outside of the home lies only in a folder of this user's own."""
    with tempfile.TemporaryDirectory() as runtime:  # shorter than tmp_path, as sockets need it
        folder = Path(runtime) / "zmqchat"
        folder.mkdir()
        folder.chmod(0o777)
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        with pytest.raises(ControlError), prepared_socket_path(tmp_path / ("h" * 120)):
            pass


def test_only_sockets_that_nobody_listens_at_are_removed(runtime: Path) -> None:
    """A node that lives keeps its own, though it answers nobody just now; what is no socket of ours is left alone."""
    stale = left_over(runtime / f"{1:016x}.sock")
    own = left_over(runtime / f"{2:016x}.sock")
    others = [left_over(runtime / "other.sock"), runtime / f"{3:016x}.sock", runtime / f"{4:016x}.sock"]
    others[1].write_text("no socket")
    others[2].symlink_to(stale)
    with socket.socket(socket.AF_UNIX) as alive, contextlib.ExitStack() as clients:
        alive.bind(str(runtime / f"{5:016x}.sock"))
        alive.listen(1)
        for _ in range(4):  # nobody accepts: its queue is full
            client = clients.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            client.connect_ex(alive.getsockname())
        remove_stale_sockets(own)
        assert not stale.exists()
        assert {path.name for path in runtime.iterdir()} == {own.name, *(p.name for p in others), f"{5:016x}.sock"}


def test_a_socket_that_is_being_made_is_not_removed(runtime: Path, tmp_path: Path) -> None:
    """Between bind and listen it refuses connections like a stale one; a later start removes what is stale."""
    stale = left_over(runtime / f"{1:016x}.sock")
    with prepared_socket_path(tmp_path / ("h" * 120)) as path:
        assert path.parent == runtime
        left_over(path)
        remove_stale_sockets(tmp_path / "control.sock")
        assert path.exists() and stale.exists()
    remove_stale_sockets(path)
    assert path.exists() and not stale.exists()


def test_a_folder_of_anybody_is_not_swept(runtime: Path) -> None:
    """Where others may write, nothing is touched; where there is no folder, nothing happens."""
    stale = left_over(runtime / f"{1:016x}.sock")
    runtime.chmod(0o777)
    remove_stale_sockets(runtime / "own.sock")
    assert stale.exists()
    runtime.chmod(0o700)
    stale.unlink()
    runtime.rmdir()
    remove_stale_sockets(runtime / "own.sock")
    assert not runtime.exists()
    runtime.mkdir()


def test_the_next_node_removes_the_socket_of_a_killed_one(runtime: Path, home: Path) -> None:
    """Whatever its own home is; and a node that lives on a long path is still reached."""
    long, other = home.parent / ("k" * 60) / ("h" * 60), home.parent / ("k" * 60) / ("o" * 60)
    long.parent.mkdir()
    with running_node(other), running_node(long) as killed:
        assert control_path(long).exists()
        os.killpg(killed.process.pid, signal.SIGKILL)
        killed.process.wait()
        assert control_path(long).exists()
        with running_node(home):
            assert not control_path(long).exists()
            assert control_path(other).exists()
