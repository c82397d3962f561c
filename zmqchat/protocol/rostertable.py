"""The table of members as one node knows it: a few bytes of numbers a member, beside the pool of their records.

How it works. Each member has a record, a state (live, suspect, dead) and a standing:

    stranger --we had a link, or known_s went by--> known

All but strangers keep their place whatever comes; strangers share ROSTER_STRANGERS_MAX places. A further one takes
the place of one among a few looked at at random: a dead one, else one whose source (the link that told of it) has
brought the most. So whoever makes up identities pushes out its own. Where the whole table is full, dead members give
way after the strangers.

A simulated node may begin with what another one's table holds (`begin_as`): then five bytes a member are its own.

The hash over live members is a sum a bucket, so that a change costs one addition.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator
from random import Random

from zmqchat.model.ids import PeerId
from zmqchat.model.limits import ROSTER_MEMBERS_MAX, ROSTER_STRANGERS_MAX
from zmqchat.protocol.recordpool import RecordPool
from zmqchat.wire.roster_frames import DEAD, HASH_BYTES, ROSTER_BUCKETS, SUSPECT

LIVE = 0
_STATE = 3
_STRANGER = 4
_HASH_MASK = 2 ** (8 * HASH_BYTES) - 1
_GROUP_S = 60.0
"""Strangers that came within this of each other become known together."""
_LOOK = 32
"""Strangers, or members, looked at for one that may go."""
_SOURCES_MAX = 65_535

assert {SUSPECT, DEAD} == {1, 2}


class RosterTable:
    """All members but ourselves."""

    def __init__(self, pool: RecordPool, rng: Random, known_s: float) -> None:
        self.pool = pool
        self._rng = rng
        self._known_s = known_s
        self._numbers = array("I")
        self._flags = array("B")
        self._since = array("f")
        self._sources = array("H")
        self._buckets = array("Q", bytes(8 * ROSTER_BUCKETS))
        self._strangers: deque[tuple[float, array[int]]] = deque()
        self.stranger_count = 0
        self._source_numbers: dict[PeerId, int] = {}
        self._brought: dict[int, int] = {}
        self.count = 0
        self.live_count = 0
        self.changes = 0

    # Questions -----------------------------------------------------------------------------------------

    def slot(self, peer: PeerId) -> int | None:
        """The slot of a member that is in the table."""
        slot = self.pool.slot(peer)
        return slot if slot is not None and self.number(slot) else None

    def number(self, slot: int) -> int:
        """The number of the record at this slot, 0 for none."""
        return self._numbers[slot] if slot < len(self._numbers) else 0

    def version(self, slot: int) -> int:
        """The version of the record at a slot that is taken."""
        return self.pool.version(self._numbers[slot])

    def state(self, slot: int) -> int:
        """LIVE, SUSPECT or DEAD."""
        return self._flags[slot] & _STATE

    def is_live(self, slot: int) -> bool:
        """Whether there is a member here that is not dead; suspects live until they don't answer."""
        return self.number(slot) != 0 and self._flags[slot] & _STATE != DEAD

    def is_stranger(self, slot: int) -> bool:
        """Whether the member may have to make room for another."""
        return bool(self._flags[slot] & _STRANGER)

    def since_s(self, slot: int) -> float:
        """When we first heard of the member."""
        return self._since[slot] if slot < len(self._since) else 0.0

    def live_slots(self) -> Iterator[int]:
        """The slots of all live members, by slot."""
        flags = self._flags
        return (slot for slot, number in enumerate(self._numbers) if number and flags[slot] & _STATE != DEAD)

    def live_in(self, bucket: int) -> list[int]:
        """The slots of the live members of a bucket."""
        return [slot for slot in self.pool.bucket(bucket) if self.is_live(slot)]

    def pick(self, count: int, exclude: frozenset[PeerId] | set[PeerId]) -> list[PeerId]:
        """Up to so many live members at random, none of these."""
        found: dict[PeerId, None] = {}
        size = len(self._numbers)
        for _ in range(20 * count if size else 0):
            slot = self._rng.randrange(size)
            if self.is_live(slot) and self.pool.peer(slot) not in exclude:
                found[self.pool.peer(slot)] = None
                if len(found) == count:
                    return list(found)
        # Few are left, or the table is mostly holes.
        rest = [p for p in map(self.pool.peer, self.live_slots()) if p not in exclude and p not in found]
        return [*found, *self._rng.sample(rest, min(len(rest), count - len(found)))]

    @property
    def bucket_hashes(self) -> bytes:
        """The hash of each bucket, one after the other."""
        return b"".join([value.to_bytes(HASH_BYTES, "big") for value in self._buckets])

    @property
    def hash(self) -> bytes:
        """The hash over all live members."""
        total: int = sum(self._buckets) & _HASH_MASK
        return total.to_bytes(HASH_BYTES, "big")

    # Changes -------------------------------------------------------------------------------------------

    def put(self, number: int, source: PeerId, now_s: float, *, known: bool) -> int | None:
        """Take a record that is new or newer; its member lives. Its slot, None where there is no room for it."""
        slot = self.pool.slot_of(number)
        self.pool.hold(number)
        held = self.number(slot)
        if held:
            self._count_out(slot)
            self._numbers[slot] = number
            self._flags[slot] &= ~_STATE
            self._count_in(slot)
            self.pool.release(held)
        elif self._has_room(known):
            self._place(slot, number, source, now_s, known)
        else:
            self.pool.release(number)
            return None
        if known:
            self.make_known(slot)
        return slot

    def set_state(self, slot: int, state: int) -> None:
        """Make a member live, suspect or dead."""
        was_live = self.is_live(slot)
        if was_live and state == DEAD:
            self._count_out(slot)
        self._flags[slot] = self._flags[slot] & ~_STATE | state
        if not was_live and state != DEAD:
            self._count_in(slot)

    def make_known(self, slot: int) -> None:
        """The member keeps its place from now on."""
        if self._flags[slot] & _STRANGER:
            self._flags[slot] &= ~_STRANGER
            self.stranger_count -= 1
            self._forget_source(slot)

    def age(self, now_s: float) -> None:
        """Strangers that have been here for long are known."""
        while self._strangers and now_s - self._strangers[0][0] >= self._known_s + _GROUP_S:
            for slot in self._strangers.popleft()[1]:
                if self.number(slot) and now_s - self._since[slot] >= self._known_s:
                    self.make_known(slot)

    def remove(self, slot: int) -> None:
        """Forget a member."""
        self.make_known(slot)
        if self.is_live(slot):
            self._count_out(slot)
        number, self._numbers[slot] = self._numbers[slot], 0
        self._flags[slot] = 0
        self.count -= 1
        self.pool.release(number)

    def begin_as(self, other: RosterTable, me: PeerId) -> None:
        """Begin with all members of another table of this pool but ourselves, as known ones of long ago."""
        assert not self.count and self.pool is other.pool
        self._numbers, self._flags, self._buckets = other._numbers[:], other._flags[:], other._buckets[:]
        self.count, self.live_count = other.count, other.live_count
        self.changes += 1
        self.pool.hold_all(filter(None, self._numbers))
        own = self.slot(me)
        if own is not None:
            self.remove(own)

    def release(self) -> None:
        """Let go of all records: the node is no more."""
        numbers, self._numbers = self._numbers, array("I")
        self.count = self.live_count = 0
        for number in filter(None, numbers):
            self.pool.release(number)

    # Inside --------------------------------------------------------------------------------------------

    def _place(self, slot: int, number: int, source: PeerId, now_s: float, known: bool) -> None:
        size = max(self.pool.size, slot + 1)
        for column in (self._numbers, self._flags, self._since, self._sources):
            if len(column) < size:
                column.frombytes(bytes(column.itemsize * (size - len(column))))
        self._numbers[slot] = number
        self._flags[slot] = 0 if known else _STRANGER
        self._since[slot] = now_s
        self.count += 1
        self._count_in(slot)
        if known:
            return
        self.stranger_count += 1
        number_of_source = self._source_number(source)
        self._sources[slot] = number_of_source
        self._brought[number_of_source] = self._brought.get(number_of_source, 0) + 1
        if not self._strangers or now_s - self._strangers[-1][0] >= _GROUP_S:
            self._strangers.append((now_s, array("I")))
        self._strangers[-1][1].append(slot)

    def _source_number(self, source: PeerId) -> int:
        number = self._source_numbers.get(source)
        if number is None:
            if len(self._source_numbers) >= _SOURCES_MAX:
                self._source_numbers.clear()  # shared numbers only make the count of what each brought coarser
            number = self._source_numbers[source] = len(self._source_numbers)
        return number

    def _forget_source(self, slot: int) -> None:
        source = self._sources[slot]
        left = self._brought.get(source, 0) - 1
        if left > 0:
            self._brought[source] = left
        else:
            self._brought.pop(source, None)

    def _has_room(self, known: bool) -> bool:
        if self.count < ROSTER_MEMBERS_MAX and (known or self.stranger_count < ROSTER_STRANGERS_MAX):
            return True
        victim = self._stranger_to_go()
        if victim is None:
            victim = self._dead_to_go()
        if victim is None:
            return False
        self.remove(victim)
        return True

    def _stranger_to_go(self) -> int | None:
        if not self.stranger_count:
            return None
        best: tuple[bool, int] | None = None
        victim = None
        groups = [group for _since_s, group in self._strangers if group]
        for _ in range(_LOOK):
            group = self._rng.choice(groups)
            at = self._rng.randrange(len(group))
            slot = group[at]
            if not self.number(slot) or not self.is_stranger(slot):
                group[at] = group[-1]  # it is known by now, or gone
                group.pop()
                groups = [group for group in groups if group]
                if not groups:
                    break
                continue
            rank = (self.state(slot) == DEAD, self._brought.get(self._sources[slot], 0))
            if best is None or rank > best:
                best, victim = rank, slot
        return victim

    def _dead_to_go(self) -> int | None:
        for _ in range(_LOOK):
            slot = self._rng.randrange(len(self._numbers))
            if self.number(slot) and self.state(slot) == DEAD:
                return slot
        return None

    def _count_in(self, slot: int) -> None:
        self._sum(slot, self.pool.hash(self._numbers[slot]))
        self.live_count += 1

    def _count_out(self, slot: int) -> None:
        if self._flags[slot] & _STATE != DEAD:
            self._sum(slot, -self.pool.hash(self._numbers[slot]))
            self.live_count -= 1

    def _sum(self, slot: int, value: int) -> None:
        bucket = self.pool.peer(slot)[0]
        self._buckets[bucket] = (self._buckets[bucket] + value) & _HASH_MASK
        self.changes += 1
