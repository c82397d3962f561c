"""A home belongs to one process, is private, and says what is wrong with it in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from zmqchat import Node
from zmqchat.model.errors import BadConfig, HomeInUse, HomeUnusable, UsageError
from zmqchat.node.home import SOCKET_PATH_BYTES_MAX, Home, control_path, read_config, resolve_home


def test_a_home_is_made_private_with_its_parents(tmp_path: Path) -> None:
    """The folder and its parents are made, for this user alone."""
    home = Home.open(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    assert home.identity_path.parent == home.folder == home.store_path.parent
    home.close()


def test_an_open_folder_is_closed_with_a_warning(tmp_path: Path) -> None:
    """A home that others could read is put right, and its owner told."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    home = Home.open(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert any("755" in warning for warning in home.warnings)
    home.close()


def test_a_second_process_is_told_who_owns_the_home(tmp_path: Path) -> None:
    """The lock holds across processes and names its owner; after the owner is gone the home is free."""
    home = Home.open(tmp_path / "home")
    code = (
        "import sys\nfrom zmqchat.node.home import Home\nfrom zmqchat.model.errors import HomeInUse\n"
        "try:\n    Home.open(sys.argv[1])\nexcept HomeInUse as error:\n    print(error.pid)\n"
    )
    command = [sys.executable, "-c", code, str(home.folder)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == f"{os.getpid()}\n"
    with pytest.raises(HomeInUse):
        Home.open(home.folder)
    home.close()
    home.close()
    Home.open(home.folder).close()


def test_a_file_in_place_of_the_folder_is_one_clear_line(tmp_path: Path) -> None:
    """What is no folder is refused, not replaced."""
    path = tmp_path / "file"
    path.write_text("mine")
    with pytest.raises(HomeUnusable, match="is no folder"):
        Home.open(path)
    assert path.read_text() == "mine"


def test_a_read_only_folder_is_left_as_it_is(tmp_path: Path) -> None:
    """Who made a home read-only meant it."""
    folder = tmp_path / "home"
    folder.mkdir()
    folder.chmod(0o500)
    with pytest.raises(HomeUnusable, match="can't be written"):
        Home.open(folder)
    assert folder.stat().st_mode & 0o777 == 0o500
    folder.chmod(0o700)


def test_homes_are_found_by_argument_environment_and_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--home comes first; ZMQCHAT_HOME is for the command line; a library node has a folder of its name."""
    assert resolve_home(tmp_path / "x", None) == tmp_path / "x"
    assert resolve_home(None, None).parts[-2:] == ("zmqchat", "default")
    assert resolve_home(None, "ann").parts[-2:] == ("zmqchat", "ann")
    monkeypatch.setenv("ZMQCHAT_HOME", str(tmp_path / "env"))
    assert resolve_home(None, None) == tmp_path / "env"
    assert resolve_home(tmp_path / "x", None) == tmp_path / "x"
    assert resolve_home(None, "ann").name == "ann"


def test_an_empty_home_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script whose variable was not set makes no home of the folder that it runs in."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="name a folder"):
        resolve_home("", None)
    with pytest.raises(UsageError, match="name a folder"):
        Node(home="")
    monkeypatch.setenv("ZMQCHAT_HOME", "")
    assert resolve_home(None, None).name == "default"


@pytest.mark.parametrize("name", ["../evil", "a/b", "..", ".", "a\0b", "x" * 300, "C:\\x"])
def test_a_name_never_leads_out_of_the_data_folder(name: str) -> None:
    """Names with separators, dots or great length get a folder of their own beside the others."""
    folder = resolve_home(None, name)
    assert folder.parent.name == "zmqchat"
    assert folder.name.strip(".") and not set("/\\\0:") & set(folder.name)
    assert len(folder.name) < 100


def test_a_long_home_has_its_control_socket_elsewhere(tmp_path: Path) -> None:
    """A path that a Unix socket can't take is replaced by a short one, the same at each look."""
    short = Path("/tmp/h")
    assert control_path(short) == short / "control.sock"
    folder = tmp_path / ("x" * 120)
    path = control_path(folder)
    assert path == control_path(folder) != control_path(tmp_path / ("y" * 120))
    assert len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX + 7


def test_the_config_file_is_read(tmp_path: Path) -> None:
    """Each setting may be left out; none need be there."""
    assert read_config(tmp_path).name is None
    (tmp_path / "config.toml").write_text('name = "ann"\npeers = ["10.0.0.1:42100"]\ndiscovery = false\n')
    config = read_config(tmp_path)
    assert (config.name, config.mesh, config.peers, config.discovery) == ("ann", None, ("10.0.0.1:42100",), False)
    assert config.keeper_mib is None


@pytest.mark.parametrize(("text", "mib"), [("0", 0), ("64", 64), ("0.5", 0.5)])
def test_the_quota_is_a_number_of_mebibytes(tmp_path: Path, text: str, mib: float) -> None:
    """Whole or not; 0 is for whoever keeps nothing."""
    (tmp_path / "config.toml").write_text(f"keeper_mib = {text}\n")
    assert read_config(tmp_path).keeper_mib == mib


@pytest.mark.parametrize(
    "text",
    [
        "nick = 1",
        "name = 1",
        "name = ' '",
        "peers = [1]",
        "peers = ['x']",
        "not toml",
        "\x00",
        "discovery = 'no'",
        "mesh = ''",
        "listen = ''",
        "listen = 'x y'",
        "keeper_mib = 'much'",
        "keeper_mib = true",
        "keeper_mib = -1",
        "keeper_mib = 1e6",
        "keeper_mib = nan",
        "#" * 70_000,
    ],
)
def test_a_wrong_config_file_is_one_clear_line(tmp_path: Path, text: str) -> None:
    """Unknown settings, wrong types and broken files name the file and what is wrong."""
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(BadConfig, match=r"config\.toml") as raised:
        read_config(tmp_path)
    assert "\n" not in str(raised.value)


def test_the_module_imports_nothing_heavy() -> None:
    """A command that talks to a running node can afford to import it."""
    code = "import sys, zmqchat.node.home; print([m for m in ('zmq', 'lmdb', 'nacl', 'msgpack') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
