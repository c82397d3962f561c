"""The identity: one Ed25519 key that signs, and in its X25519 form is the CURVE key of every socket.

A peer id is a public key whose top bit is clear (two keys that differ only there are one X25519 key),
so keys are drawn until it is; two draws on average.

The key file is 32 bytes of seed and 4 of checksum behind a label, in hexadecimal on one line. It is
written once, 0600 from its first byte on, by temporary file, fsync and rename. What can't be read is
reported and never replaced: a new key would be another person.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from functools import lru_cache
from pathlib import Path
from typing import Final

import nacl.bindings
import nacl.exceptions
import nacl.signing

from zmqchat.model.errors import HomeUnusable, IdentityDamaged
from zmqchat.model.ids import PeerId, is_peer_id

_LABEL: Final = "zmqchat-identity-1"
_CHECKSUM_BYTES: Final = 4
_FILE_BYTES_MAX: Final = 4_096

DOOR_SECRET: Final = hashlib.blake2b(
    b"the door of every zmqchat node", digest_size=32, person=b"zmqchat-door-1"
).digest()
"""The door's CURVE secret, the same on every node and published: it proves nothing."""

DOOR_PUBLIC: Final[bytes] = nacl.bindings.crypto_scalarmult_base(DOOR_SECRET)
"""What a caller expects at any door, so that an address is enough to dial it."""


class Identity:
    """A node's key pair; the secret stays out of reprs."""

    __slots__ = ("_curve_secret", "_key", "_secret", "curve_public", "peer")

    def __init__(self, seed: bytes) -> None:
        self._key = nacl.signing.SigningKey(seed)
        public = bytes(self._key.verify_key)
        if not is_peer_id(public):
            raise ValueError("the top bit of the public key is set")
        self.peer = PeerId(public)
        # libsodium's form of the secret; its own call for a signature spares five wrappers a message.
        self._secret = seed + public
        self._curve_secret: bytes = nacl.bindings.crypto_sign_ed25519_sk_to_curve25519(self._secret)
        self.curve_public: bytes = nacl.bindings.crypto_sign_ed25519_pk_to_curve25519(public)

    @property
    def seed(self) -> bytes:
        """The 32 secret bytes that the key file keeps."""
        return bytes(self._key)

    @property
    def curve_secret(self) -> bytes:
        """The X25519 secret for the sockets."""
        return self._curve_secret

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of signature over these bytes; labels are the caller's to put in front."""
        return nacl.bindings.crypto_sign(message, self._secret)[: nacl.bindings.crypto_sign_BYTES]

    def __repr__(self) -> str:
        return f"<Identity {self.peer[:4].hex()}…>"


def create_identity() -> Identity:
    """A new identity from the system's randomness."""
    while True:
        with contextlib.suppress(ValueError):
            return Identity(os.urandom(32))


def is_valid_peer(peer: bytes) -> bool:
    """Whether these bytes are a usable peer id: top bit clear, on the curve, not of small order."""
    return is_peer_id(peer) and curve_key(PeerId(peer)) is not None


@lru_cache(maxsize=4_096)
def curve_key(peer: PeerId) -> bytes | None:
    """The CURVE key that belongs to a peer id, None where the id is no valid point. Never raises."""
    if not is_peer_id(peer) or not nacl.bindings.crypto_core_ed25519_is_valid_point(peer):
        return None
    try:
        key: bytes = nacl.bindings.crypto_sign_ed25519_pk_to_curve25519(peer)
    except (nacl.exceptions.CryptoError, RuntimeError):
        return None
    return key


def load_or_create_identity(path: Path) -> tuple[Identity, list[str]]:
    """The identity of this home, made at the first start; and warnings for the user.

    Raises IdentityDamaged where a file is there but can't be used, HomeUnusable where none can be written.
    """
    try:
        raw = _read(path)
    except FileNotFoundError:
        identity = create_identity()
        save_identity(path, identity)
        return identity, []
    except OSError as error:
        raise IdentityDamaged(
            f"the identity {path} can't be read ({error.strerror}): make it readable for you, "
            "or restore it from a backup; zmqchat never replaces it"
        ) from error
    return _parse(path, raw), _tighten(path)


def save_identity(path: Path, identity: Identity) -> None:
    """Write the key file, which must not exist yet; durable when this returns. Raises HomeUnusable."""
    seed = identity.seed
    line = f"{_LABEL} {seed.hex()} {_checksum(seed).hex()}\n".encode()
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # What a crash left there; in a container every start has the same process id.
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        _give_name(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise HomeUnusable(f"the identity can't be written to {path.parent}: {error.strerror}") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def _give_name(temporary: Path, path: Path) -> None:
    """Let the finished file appear under its name; raises FileExistsError rather than replace another."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except (AttributeError, OSError):
        _rename_without_link(temporary, path)


def _rename_without_link(temporary: Path, path: Path) -> None:
    """The same where there are no hard links (FAT): the home's lock keeps others from writing meanwhile."""
    if path.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    os.rename(temporary, path)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_FILE_BYTES_MAX)


def _parse(path: Path, raw: bytes) -> Identity:
    try:
        label, seed_text, checksum_text = raw.decode("ascii").split()
        seed = bytes.fromhex(seed_text)
        if label != _LABEL or len(seed) != 32 or bytes.fromhex(checksum_text) != _checksum(seed):
            raise ValueError("checksum")
        return Identity(seed)
    except ValueError as error:
        raise IdentityDamaged(
            f"the identity {path} is damaged: restore it from a backup, or move it away to begin as a new person; "
            "zmqchat never replaces it"
        ) from error


def _tighten(path: Path) -> list[str]:
    """Put a mode that lets others read the key right; Windows has no such modes."""
    if os.name != "posix":
        return []
    mode = stat.S_IMODE(path.stat().st_mode)
    if not mode & 0o077:
        return []
    try:
        path.chmod(0o600)
    except OSError as error:
        return [f"{path} is readable by others (mode {mode:03o}) and can't be closed to them: {error.strerror}"]
    return [
        f"{path} was readable by others (mode {mode:03o}); it is 600 now. If others use this machine, they may have it"
    ]


def _checksum(seed: bytes) -> bytes:
    return hashlib.blake2b(seed, digest_size=_CHECKSUM_BYTES, person=b"zmqchat-idfile-1").digest()


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
