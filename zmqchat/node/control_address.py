"""Where the control socket of a home is, for the node that listens and the command that connects.

It is a Unix socket (`home.control_path` says where). Where there are none, or the file system of the home can't
hold one, it is a port on the loopback interface; its number and a token are in a 0600 file in the home.

A killed node leaves its socket behind. In its home the next node there removes it; in the folder that homes with long
names share, the next node of this user does, wherever its own home is. One that nobody listens at refuses connections,
and so does one that is just being made: whoever makes one holds a shared lock on the folder until it listens, and
whoever removes holds the folder alone, or leaves it for the next time.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import re
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from zmqchat.model.errors import ControlError
from zmqchat.node.home import control_path, socket_folders

if sys.platform != "win32":
    import fcntl

TOKEN_FILE: Final = "control.json"
HAS_UNIX_SOCKETS: Final = sys.platform != "win32"
"""Windows knows them too, Python there does not."""

STALE_LOOKED_AT_MAX: Final = 256
"""Sockets that one start looks at: each costs a connection to a node that lives."""

_SOCKET_NAME: Final = re.compile(r"[0-9a-f]{16}\.sock")


class LoopbackAddress(NamedTuple):
    """A port on 127.0.0.1, and what a client must say first."""

    port: int
    token: str


@contextlib.contextmanager
def prepared_socket_path(home: Path) -> Iterator[Path]:
    """The free path for this home's socket, for as long as it takes to listen there; the home's lock must be held.

    What an earlier process left there is removed. Raises ControlError where the folder of a socket outside of the home
    is not this user's own.
    """
    path = control_path(home)
    with contextlib.ExitStack() as stack:
        if path.parent != home:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            if not _is_own_folder(path.parent):
                raise ControlError(
                    f"{path.parent} is not this user's own folder: remove it, or choose a shorter --home"
                )
            stack.enter_context(_locked(path.parent))
        path.unlink(missing_ok=True)
        yield path


def remove_stale_sockets(own: Path) -> None:
    """Remove what killed nodes of this user have left outside of their homes; `own` is ours."""
    for folder in socket_folders():
        with contextlib.suppress(OSError):
            if _is_own_folder(folder):
                _sweep(folder, own)


def _sweep(folder: Path, own: Path) -> None:
    with _opened(folder) as descriptor:
        if sys.platform != "win32":
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: somebody is making one just now
        with os.scandir(folder) as entries:
            for entry in itertools.islice(entries, STALE_LOOKED_AT_MAX):
                if entry.path != str(own) and _SOCKET_NAME.fullmatch(entry.name) and _is_stale(entry):
                    os.unlink(entry.path)


def _is_stale(entry: os.DirEntry[str]) -> bool:
    """Whether it is a socket that nobody listens at."""
    if sys.platform == "win32" or not stat.S_ISSOCK(entry.stat(follow_symlinks=False).st_mode):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        trial.setblocking(False)
        return trial.connect_ex(entry.path) == errno.ECONNREFUSED


def _is_own_folder(folder: Path) -> bool:
    if sys.platform == "win32":
        return False
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Beside others that make a socket here, and nobody who removes any."""
    with _opened(folder) as descriptor:
        if sys.platform != "win32":
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    """A descriptor of the folder, to lock it by."""
    descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        yield descriptor
    finally:
        os.close(descriptor)


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
