"""The pool of verified member records, which many rosters may share.

How it works. A member has a slot, a number that stands for it in the arrays of every roster that uses the pool, and
each of its records has a number. Rosters count: a record that none holds any more is dropped, and so is the slot
whose last record went. A real node has a pool of its own; simulated ones share one, so that ten thousand rosters of
ten thousand members are numbers and not records. What is in the pool was verified before it was put there: the same
bytes need no second look.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator

from zmqchat.model.ids import PEER_ID_BYTES, PeerId
from zmqchat.wire.roster_frames import HASH_BYTES, MemberRecord

_NONE = 0
_PEER_AT = 67
"""Where the peer id stands in a record: behind the signature, the array's byte and the two of a `bin`."""


class RecordPool:
    """Records and slots by number; record 0 is none."""

    def __init__(self) -> None:
        self._slots: dict[bytes, int] = {}
        self._peers: list[PeerId | None] = []
        self._newest = array("I")
        self._free_slots = array("I")
        self._buckets: list[array[int]] = [array("I") for _ in range(256)]
        self._raws: list[bytes | None] = [None]
        self._hints: list[tuple[bytes, ...] | None] = [None]
        self._slot_of = array("I", (0,))
        self._versions = array("Q", (0,))
        self._hashes = array("Q", (0,))
        self._users = array("I", (0,))
        self._older = array("I", (_NONE,))
        self._free_records = array("I")
        self._known_hints: dict[tuple[bytes, ...], tuple[bytes, ...]] = {}

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def size(self) -> int:
        """One more than the highest slot that was ever used."""
        return len(self._peers)

    # Slots ---------------------------------------------------------------------------------------------

    def slot(self, peer: PeerId) -> int | None:
        """The slot of this member, None where it has no record here."""
        return self._slots.get(peer)

    def peer(self, slot: int) -> PeerId:
        """Whose slot this is; only for one in use."""
        peer = self._peers[slot]
        assert peer is not None
        return peer

    def bucket(self, first_byte: int) -> Iterator[int]:
        """The slots of members whose ids begin so."""
        return iter(self._buckets[first_byte])

    # Records -------------------------------------------------------------------------------------------

    def find(self, raw: bytes) -> int:
        """The number of the record of exactly these bytes, 0 where it is not here."""
        slot = self._slots.get(raw[_PEER_AT : _PEER_AT + PEER_ID_BYTES])
        if slot is None:
            return _NONE
        number = self._newest[slot]
        while number and self._raws[number] != raw:
            number = self._older[number]
        return number

    def add(self, record: MemberRecord, raw: bytes) -> int:
        """The number of a verified record, put here where it is not; `hold` it before anything is released."""
        slot = self._slots.get(record.peer)
        if slot is None:
            slot = self._new_slot(record.peer)
        number = self._newest[slot]
        while number and self._raws[number] != raw:
            number = self._older[number]
        return number or self._new_record(slot, record, raw)

    def _new_slot(self, peer: PeerId) -> int:
        if self._free_slots:
            slot = self._free_slots.pop()
            self._peers[slot] = peer
            self._newest[slot] = _NONE
        else:
            slot = len(self._peers)
            self._peers.append(peer)
            self._newest.append(_NONE)
        self._slots[peer] = slot
        self._buckets[peer[0]].append(slot)
        return slot

    def _new_record(self, slot: int, record: MemberRecord, raw: bytes) -> int:
        if self._free_records:
            number = self._free_records.pop()
        else:
            number = len(self._raws)
            self._raws.append(None)
            self._hints.append(None)
            for column in (self._slot_of, self._versions, self._hashes, self._users, self._older):
                column.append(0)
        self._raws[number] = raw
        # Many members are in the same rooms: one tuple serves them all.
        hints = record.rooms if not record.more else (*record.rooms, b"")
        if len(self._known_hints) > 65_536:
            self._known_hints.clear()
        self._hints[number] = self._known_hints.setdefault(hints, hints)
        self._slot_of[number] = slot
        self._versions[number] = record.version
        self._hashes[number] = member_hash(record.peer, record.version)
        self._users[number] = 0
        self._older[number] = self._newest[slot]
        self._newest[slot] = number
        return number

    def hold(self, number: int) -> None:
        """One more roster holds this record."""
        self._users[number] += 1

    def hold_all(self, numbers: Iterable[int]) -> None:
        """One more roster holds all of these."""
        users = self._users
        for number in numbers:
            users[number] += 1

    def release(self, number: int) -> None:
        """One roster less holds it; nobody's record is dropped."""
        self._users[number] -= 1
        if self._users[number]:
            return
        slot = self._slot_of[number]
        if self._newest[slot] == number:
            self._newest[slot] = self._older[number]
        else:
            newer = self._newest[slot]
            while self._older[newer] != number:
                newer = self._older[newer]
            self._older[newer] = self._older[number]
        self._raws[number] = self._hints[number] = None
        self._free_records.append(number)
        if not self._newest[slot]:
            peer = self.peer(slot)
            del self._slots[peer]
            self._peers[slot] = None
            self._buckets[peer[0]].remove(slot)
            self._free_slots.append(slot)

    def raw(self, number: int) -> bytes:
        """The record as its owner packed it."""
        raw = self._raws[number]
        assert raw is not None
        return raw

    def slot_of(self, number: int) -> int:
        """The slot of the record's owner."""
        return self._slot_of[number]

    def version(self, number: int) -> int:
        """The record's version."""
        return self._versions[number]

    def hash(self, number: int) -> int:
        """What the record adds to the hash of a bucket."""
        return self._hashes[number]

    def hints(self, number: int) -> tuple[bytes, ...]:
        """The record's hints of rooms; an empty one besides where the member is in more."""
        return self._hints[number] or ()


def member_hash(peer: PeerId, version: int) -> int:
    """What a live member adds to the hash over members, 64 bits."""
    digest = hashlib.blake2b(peer + version.to_bytes(8, "big"), digest_size=HASH_BYTES, person=b"zmqchat-member-1")
    return int.from_bytes(digest.digest(), "big")
