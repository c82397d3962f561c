"""Where the control socket of a home is."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from zmqchat.model.errors import ControlError
from zmqchat.node.control_address import (
    TOKEN_FILE,
    LoopbackAddress,
    prepare_socket_path,
    read_loopback_address,
    write_loopback_address,
)


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
    assert prepare_socket_path(tmp_path) == path
    assert not path.exists()


def test_a_folder_that_others_may_write_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket outside of the home lies only in a folder of this user's own."""
    with tempfile.TemporaryDirectory() as runtime:  # shorter than tmp_path, as sockets need it
        folder = Path(runtime) / "zmqchat"
        folder.mkdir()
        folder.chmod(0o777)
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        with pytest.raises(ControlError):
            prepare_socket_path(tmp_path / ("h" * 120))
