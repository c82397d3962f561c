"""Opening: names, addresses to listen at, and what is left of a start that failed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.support.nodes import FAST, MESH, linked, running
from zmqchat import BadAddress, BadConfig, IdentityDamaged, Node, StoreDamaged
from zmqchat.node.opening import _choose_name


async def test_a_host_that_is_not_this_machine(home: Path) -> None:
    """One clear error for an unknown name, and nothing stays open."""
    with pytest.raises(BadAddress):
        await Node("ann", home=home / "ann", listen="no-such-host.invalid:7000", discovery=False).start()
    async with running(home):
        pass


def test_names_come_from_the_caller_the_store_or_the_login(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this order; there is always one."""
    monkeypatch.setattr("getpass.getuser", lambda: "login")
    assert _choose_name("asked", b"stored") == "asked"
    assert _choose_name(None, b"stored") == "stored"
    assert _choose_name(None, b"\xe2\x80\x8b") == "login"

    def nobody() -> str:
        raise KeyError("no such user")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert _choose_name(None, None) == "somebody"


async def test_the_config_file_of_the_home_is_heeded(home: Path) -> None:
    """A node that is told nothing but its home takes mesh, peers and the rest from the file there."""
    async with running(home) as ann:
        (home / "bob").mkdir(mode=0o700)
        (home / "bob" / "config.toml").write_text(
            f'name = "robert"\nmesh = "{MESH}"\nlisten = "127.0.0.1"\ndiscovery = false\npeers = ["{ann.address}"]\n'
        )
        async with Node(home=home / "bob", config=FAST) as bob:
            await linked(ann, bob)
            assert bob.name == "robert"


async def test_a_wrong_config_file_starts_nothing(home: Path) -> None:
    """One clear error of our tree; the home is free again, and no key was made."""
    folder = home / "ann"
    folder.mkdir(mode=0o700, parents=True)
    (folder / "config.toml").write_text("peers = 1")
    with pytest.raises(BadConfig, match=r"config\.toml: peers must be a list"):
        await Node("ann", home=folder, listen="127.0.0.1", discovery=False).start()
    assert not (folder / "identity.key").exists()
    (folder / "config.toml").unlink()
    async with running(home):
        pass


async def test_a_damaged_key_is_never_replaced(home: Path) -> None:
    """The start fails, the file stays as it is, and the home is free again."""
    async with running(home):
        pass
    key = home / "ann" / "identity.key"
    good = key.read_bytes()
    key.write_bytes(good[:10])
    with pytest.raises(IdentityDamaged):
        await Node("ann", home=home / "ann", listen="127.0.0.1", discovery=False).start()
    assert key.read_bytes() == good[:10]
    key.write_bytes(good)
    async with running(home):
        pass


async def test_a_damaged_store_is_never_overwritten(home: Path) -> None:
    """Zeroed or truncated: an error, not a crash and not a new store."""
    async with running(home) as ann:
        await (await ann.join("lobby")).send("precious")
    data = home / "ann" / "store" / "data.mdb"
    good = data.read_bytes()
    for damaged in (bytes(len(good)), good[:4096], b""):
        data.write_bytes(damaged)
        with pytest.raises(StoreDamaged):
            await Node("ann", home=home / "ann", listen="127.0.0.1", discovery=False).start()
        assert data.read_bytes() == damaged
    data.write_bytes(good)
    async with running(home) as ann:
        assert [message.text for message in await (await ann.join("lobby")).history()] == ["precious"]


async def test_a_lost_key_is_told(home: Path) -> None:
    """Whoever begins anew in a home that another person has written in hears so, once; a fresh home says nothing."""
    async with running(home) as ann:
        former = ann.id
        assert not any("store but no" in notice for notice in ann.notices), ann.notices
    (home / "ann" / "identity.key").unlink()
    async with running(home) as ann:
        assert ann.id != former
        assert [notice for notice in ann.notices if "store but no identity.key" in notice and "backup" in notice]
    async with running(home) as ann:
        assert not any("store but no" in notice for notice in ann.notices), ann.notices


async def test_wrong_modes_are_put_right_with_a_notice(home: Path) -> None:
    """A key that others could read is told of."""
    async with running(home):
        pass
    key = home / "ann" / "identity.key"
    key.chmod(0o644)
    async with running(home) as ann:
        assert any("identity.key" in notice for notice in ann.notices), ann.notices
    assert stat.S_IMODE(os.stat(key).st_mode) == 0o600


async def test_ports_are_kept_for_the_next_start(home: Path) -> None:
    """Firewalls and remembered addresses stay right."""
    async with running(home) as ann:
        ports = ann.ports
    async with running(home) as ann:
        assert ann.ports == ports


async def test_a_wake_asks_the_network_anew(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What discovery heard before a sleep may be long gone."""
    asked: list[None] = []
    monkeypatch.setattr("zmqchat.discovery.quiet.QuietDiscovery.refresh", lambda _self: asked.append(None))
    async with running(home) as ann:
        ann._core().runner.on_wake()
    assert asked == [None]
