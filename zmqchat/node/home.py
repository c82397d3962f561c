"""A node's folder: who owns it, where its files lie, and what its config file says.

One process owns a home. It holds a lock on `lock` for as long as it lives; the pid inside is only for the
message. Importing this module stays cheap: a command that talks to a running node needs nothing else of node/.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from zmqchat.model.addresses import parse_address, parse_listen
from zmqchat.model.errors import BadAddress, BadConfig, BadName, HomeInUse, HomeUnusable, UsageError
from zmqchat.model.text import clean_name
from zmqchat.store.filesystems import check_filesystem

KEEPER_MIB_END: Final = 1_000_000
"""The quota in a config file is below this: larger ones are slips of the keyboard."""

CONFIG_BYTES_MAX: Final = 64 * 1024
"""A config file is read whole; nobody writes a longer one by hand."""

SOCKET_PATH_BYTES_MAX: Final = 100
"""Unix socket addresses hold 107 bytes on Linux and 103 on macOS."""

_MIB_WANTED: Final = f"a number of MiB from 0 (nothing is kept for others) to below {KEEPER_MIB_END:,}"
_FOLDER_MODE: Final = 0o700
_LOCK_OFFSET: Final = 1 << 30
"""Windows locks ranges and hides what is locked: this one lies far behind the pid that others read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeConfig:
    """What `config.toml` in the home says; None and empty where it says nothing.

    name        nickname
    mesh        name of the mesh
    listen      HOST or HOST:PORT to bind
    peers       HOST:PORT or PEERID@HOST:PORT, dialled at start
    interfaces  names of the network interfaces to use
    discovery   whether multicast DNS is used
    keeper_mib  how much is kept of rooms that this node is not in, in MiB; 0 for nothing
    """

    name: str | None = None
    mesh: str | None = None
    listen: str | None = None
    peers: tuple[str, ...] = ()
    interfaces: tuple[str, ...] = ()
    discovery: bool | None = None
    keeper_mib: float | None = None


class Home:
    """A home that this process owns until `close`.

    warnings  one line each: what was put right or is unwise
    """

    def __init__(self, folder: Path, lock_descriptor: int, warnings: tuple[str, ...]) -> None:
        self.folder = folder
        self.warnings = warnings
        self._lock_descriptor: int | None = lock_descriptor

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Home:
        """Make the folder where it is missing, and own it.

        Raises HomeInUse (with the owner's pid) or HomeUnusable.
        """
        folder = Path(os.path.abspath(Path(path).expanduser()))
        try:
            warnings = _prepare_folder(folder)
            check_filesystem(folder)  # for what it refuses; what is only unwise the store tells, which lies here
            descriptor = _take_lock(folder)
        except OSError as error:
            raise HomeUnusable(_explain(folder, error)) from error
        return cls(folder, descriptor, warnings)

    @property
    def has_lost_identity(self) -> bool:
        """Whether somebody has written here whose key is gone."""
        return self.store_path.exists() and not self.identity_path.exists()

    @property
    def identity_path(self) -> Path:
        """Where the node's key lies."""
        return self.folder / "identity.key"

    @property
    def store_path(self) -> Path:
        """The folder of the node's store."""
        return self.folder / "store"

    @property
    def control_path(self) -> Path:
        """Where commands reach the running node; see `control_path`."""
        return control_path(self.folder)

    def config(self) -> HomeConfig:
        """What the home's config file says. Raises BadConfig."""
        return read_config(self.folder)

    def close(self) -> None:
        """Give the home up."""
        if self._lock_descriptor is not None:
            os.close(self._lock_descriptor)
            self._lock_descriptor = None


def resolve_home(explicit: str | os.PathLike[str] | None, name: str | None) -> Path:
    """The folder of a node: the explicit one, else by default the one of this name.

    name  a library node's name; None for the command line, which heeds ZMQCHAT_HOME
    An empty text is a variable that was not set, and raises UsageError: it must not make a home of the present folder.
    """
    if explicit is not None:
        if not os.fspath(explicit):
            raise UsageError("a home can't be '': name a folder")
        return Path(os.path.abspath(Path(explicit).expanduser()))
    if name is None and (from_environment := os.environ.get("ZMQCHAT_HOME")):
        return Path(os.path.abspath(Path(from_environment).expanduser()))
    from platformdirs import user_data_path

    return user_data_path("zmqchat", appauthor=False) / ("default" if name is None else _folder_name(name))


def control_path(folder: Path) -> Path:
    """The control socket of a home; homes with long names have theirs in a folder of this user's elsewhere."""
    path = folder / "control.sock"
    if sys.platform == "win32" or len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX:
        return path
    digest = hashlib.blake2b(os.fsencode(os.path.realpath(folder)), digest_size=8).hexdigest()
    return socket_folders()[0] / f"{digest}.sock"


def socket_folders() -> list[Path]:
    """Where the sockets of homes with long names may lie: where new ones are made, then where others may be left."""
    if sys.platform == "win32":
        return []
    folders = []
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and len(os.fsencode(runtime)) < SOCKET_PATH_BYTES_MAX - 40 and os.path.isdir(runtime):
        folders.append(Path(runtime) / "zmqchat")
    place = tempfile.gettempdir()
    if len(os.fsencode(place)) > SOCKET_PATH_BYTES_MAX - 50:
        place = "/tmp"
    return [*folders, Path(place) / f"zmqchat-{os.getuid()}"]


def read_config(folder: Path) -> HomeConfig:
    """What `config.toml` in this folder says; nothing where there is none. Raises BadConfig."""
    path = folder / "config.toml"
    try:
        with path.open("rb") as file:
            raw = file.read(CONFIG_BYTES_MAX + 1)
    except (FileNotFoundError, NotADirectoryError):
        return HomeConfig()
    except OSError as error:
        raise BadConfig(f"{path} can't be read ({error.strerror}): put its permissions right, or remove it") from error
    if len(raw) > CONFIG_BYTES_MAX:
        raise BadConfig(f"{path} is over {CONFIG_BYTES_MAX // 1024} KiB: remove what does not belong there")
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    try:
        table = tomllib.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadConfig(f"{path} is no TOML: {str(error).splitlines()[0]}") from error
    return _checked_config(path, table)


def _checked_config(path: Path, table: dict[str, object]) -> HomeConfig:
    text, texts = 'a text, as in "ann"', 'a list of texts, as in ["a", "b"]'
    known: dict[str, tuple[tuple[type, ...], str]] = {
        "name": ((str,), text),
        "mesh": ((str,), text),
        "listen": ((str,), text),
        "peers": ((list,), texts),
        "interfaces": ((list,), texts),
        "discovery": ((bool,), "true or false"),
        "keeper_mib": ((int, float), _MIB_WANTED),
    }
    for key, value in table.items():
        if key not in known:
            raise BadConfig(f"{path}: {key[:40]!r} is no setting; there are {', '.join(known)}")
        types, wanted = known[key]
        if type(value) not in types:
            raise BadConfig(f"{path}: {key} must be {wanted}")
    name = _text(table, "name")
    if name is not None and not clean_name(name, ""):
        raise BadConfig(f"{path}: name: {BadName(name)}")
    peers = _texts(path, table, "peers")
    for peer in peers:
        try:
            parse_address(peer)
        except BadAddress as error:
            raise BadConfig(f"{path}: peers: {error}") from error
    listen = _text(table, "listen")
    try:
        parse_listen(listen)
    except BadAddress as error:
        raise BadConfig(f"{path}: listen: {error}") from error
    if _text(table, "mesh") == "":
        raise BadConfig(f"{path}: mesh can't be '': name one, or leave it out")
    discovery, keeper_mib = table.get("discovery"), table.get("keeper_mib")
    if isinstance(keeper_mib, int | float) and not 0 <= keeper_mib < KEEPER_MIB_END:
        raise BadConfig(f"{path}: keeper_mib must be {_MIB_WANTED}")
    return HomeConfig(
        name=name,
        mesh=_text(table, "mesh"),
        listen=listen,
        peers=peers,
        interfaces=_texts(path, table, "interfaces"),
        discovery=discovery if isinstance(discovery, bool) else None,
        keeper_mib=keeper_mib if isinstance(keeper_mib, int | float) else None,
    )


def _text(table: dict[str, object], key: str) -> str | None:
    value = table.get(key)
    return value if isinstance(value, str) else None


def _texts(path: Path, table: dict[str, object], key: str) -> tuple[str, ...]:
    value = table.get(key)
    if not isinstance(value, list):
        return ()
    texts = tuple(item for item in value if isinstance(item, str))
    if len(texts) != len(value):
        raise BadConfig(f'{path}: {key} must be a list of texts, as in ["a", "b"]')
    return texts


def _folder_name(name: str) -> str:
    """A folder name that is safe everywhere and still tells two names apart."""
    kept = "".join(character if character.isalnum() or character in "-_." else "_" for character in name)
    if kept == name and name.strip(".") and len(os.fsencode(name)) <= 100:
        return name
    return f"{kept.strip('.')[:24]}-{hashlib.blake2b(os.fsencode(name), digest_size=6).hexdigest()}"


def _prepare_folder(folder: Path) -> tuple[str, ...]:
    if not folder.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=_FOLDER_MODE)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    if sys.platform == "win32":
        return ()
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode == _FOLDER_MODE:
        return ()
    if not mode & 0o200:
        # somebody made it read-only on purpose: that is not ours to undo
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    folder.chmod(_FOLDER_MODE)
    if mode & 0o077:
        return (f"{folder} was open to other users (mode {mode:o}): it is yours alone now (700)",)
    return ()


def _take_lock(folder: Path) -> int:
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        if not _locked(descriptor):
            raise HomeInUse(str(folder), _pid_in(descriptor))
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, b"%d\n" % os.getpid())
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


if sys.platform == "win32":
    import msvcrt

    def _locked(descriptor: int) -> bool:
        os.lseek(descriptor, _LOCK_OFFSET, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EDEADLK):
                return False
            raise
        return True
else:
    import fcntl

    def _locked(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _pid_in(descriptor: int) -> int | None:
    os.lseek(descriptor, 0, os.SEEK_SET)
    text = os.read(descriptor, 32).strip()
    return int(text) if text.isdigit() else None


def _explain(folder: Path, error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{folder} can't be written: make it yours (chown, chmod 700), or choose another folder with --home"
    if error.errno == errno.EROFS:
        return f"{folder} is on a read-only disk: choose another folder with --home"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{folder} has no room left: free some space, or choose another disk with --home"
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return f"{folder} is no folder: choose another with --home"
    return f"{folder} can't be used ({error.strerror}): choose another folder with --home"
