"""Where the control socket of a home is, for the node that listens and the command that connects.

It is a Unix socket (`home.control_path` says where). Where there are none, or the file system of the home can't
hold one, it is a port on the loopback interface; its number and a token are in a 0600 file in the home.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import Final, NamedTuple

from zmqchat.model.errors import ControlError
from zmqchat.node.home import control_path

TOKEN_FILE: Final = "control.json"
HAS_UNIX_SOCKETS: Final = sys.platform != "win32"
"""Windows knows them too, Python there does not."""


class LoopbackAddress(NamedTuple):
    """A port on 127.0.0.1, and what a client must say first."""

    port: int
    token: str


def prepare_socket_path(home: Path) -> Path:
    """The free path for this home's socket: what an earlier process left there is removed; the lock must be held.

    Raises ControlError where the folder of a socket outside of the home is not this user's own.
    """
    path = control_path(home)
    if sys.platform != "win32" and path.parent != home:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        status = path.parent.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
            raise ControlError(f"{path.parent} is not this user's own folder: remove it, or choose a shorter --home")
    path.unlink(missing_ok=True)
    return path


def write_loopback_address(home: Path, address: LoopbackAddress) -> None:
    """Tell this user's commands where to connect."""
    temporary = home / f"{TOKEN_FILE}.new"
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        json.dump(address._asdict(), file)
    temporary.replace(home / TOKEN_FILE)


def read_loopback_address(home: Path) -> LoopbackAddress | None:
    """Where a node listens on the loopback interface; None where none says so."""
    try:
        with (home / TOKEN_FILE).open("rb") as file:
            value = json.loads(file.read(1024))
    except (OSError, ValueError):
        return None
    port, token = (value.get("port"), value.get("token")) if isinstance(value, dict) else (None, None)
    if not isinstance(port, int) or not 0 < port < 65536 or not isinstance(token, str):
        return None
    return LoopbackAddress(port, token)
