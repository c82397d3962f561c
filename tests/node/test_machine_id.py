"""What tells a copied home from a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from zmqchat.node import machine_id as module
from zmqchat.node.machine_id import boot_id, machine_id


def test_both_stay_the_same_on_this_machine() -> None:
    """16 bytes each, and not the same ones."""
    assert machine_id() == machine_id()
    assert boot_id() == boot_id()
    assert len(machine_id()) == len(boot_id()) == 16
    assert machine_id() != boot_id()


def test_another_machine_has_another_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file's text decides, and is not in the id itself."""
    file = tmp_path / "machine-id"
    monkeypatch.setattr(module, "_MACHINE_FILES", (str(tmp_path / "missing"), str(file)))
    file.write_text("0123456789abcdef\n")
    first = machine_id()
    file.write_text("fedcba9876543210\n")
    assert machine_id() != first
    assert bytes.fromhex("0123456789abcdef") not in first


def test_systems_without_these_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network card's number, and when the system was started."""
    unreadable = tmp_path / "binary"
    unreadable.write_bytes(b"\xff\xfe")
    monkeypatch.setattr(module, "_MACHINE_FILES", (str(tmp_path / "missing"), str(unreadable)))
    monkeypatch.setattr(module, "_BOOT_FILE", str(tmp_path / "missing"))
    assert machine_id() == machine_id()
    assert len(boot_id()) == 16
