"""What tells a copied home from a restart: this machine's id and this boot's id, 16 bytes each."""

from __future__ import annotations

import hashlib
import platform
import time
import uuid
from pathlib import Path

_MACHINE_FILES = ("/etc/machine-id", "/var/lib/dbus/machine-id")
_BOOT_FILE = "/proc/sys/kernel/random/boot_id"


def machine_id() -> bytes:
    """The same on this machine as long as its system is installed; hashed, so that it tells nobody more."""
    for name in _MACHINE_FILES:
        text = _read(name)
        if text:
            return _hashed(text)
    return _hashed(f"{uuid.getnode():012x} {platform.node()}")


def boot_id() -> bytes:
    """Another one after each start of the machine; where the system has none, from when it started."""
    text = _read(_BOOT_FILE)
    if text:
        return _hashed(text)
    started_s = time.time() - time.monotonic()
    return _hashed(f"boot {round(started_s / 60)}")


def _read(name: str) -> str:
    try:
        return Path(name).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _hashed(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16, person=b"zmqchat-machine").digest()
