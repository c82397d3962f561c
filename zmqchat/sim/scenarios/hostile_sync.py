"""Hostile members in what is exchanged: one asks without end, one writes several histories, one lies about what he and
others hold, one's clock is years off."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from zmqchat.model.ids import LogKey
from zmqchat.model.limits import BRANCHES_MAX, CLOCK_AHEAD_MS_MAX, NUMBER_MAX
from zmqchat.protocol.effects import Effect, Send
from zmqchat.sim.faults import YEAR_S
from zmqchat.sim.hostile import Hostile, made_up_peer
from zmqchat.sim.scenarios.hostile_member import HostileMember
from zmqchat.sim.world import World
from zmqchat.wire.frames import (
    Denied,
    Frontiers,
    Have,
    HaveEntry,
    Push,
    RangeState,
    RoomHash,
    RoomHashes,
    Summary,
    Want,
    decode,
    encode,
    type_byte,
)
from zmqchat.wire.tree_frames import Holder, Holders

WALL_MS_MAX: Final = (1 << 47) - 1
"""A moment in the 65th century: half of what a clock value can say."""

WANTS_AT_ONCE: Final = 10
FAR: Final = 1 << 40
HISTORIES: Final = BRANCHES_MAX
"""As many as are kept. Of more each node keeps those that it heard first."""

_COMPARED: Final = frozenset({type_byte(Summary), type_byte(RoomHashes), type_byte(Frontiers)})


class HostileWant(HostileMember):
    """One asks for all that there is, and when it has come, again."""

    def attack(self, world: World, hostile: Hostile) -> None:
        """Twenty times a second, each time with more credit than anybody is given."""
        self._request = 1 << 32
        hostile.repeat(lambda: self._ask(world, hostile), every_s=0.05)

    def _ask(self, world: World, hostile: Hostile) -> None:
        room = world.room("lobby")
        keys = hostile.logs(room)
        for _ in range(WANTS_AT_ONCE if keys else 0):
            self._request += 1
            author, log, branch = hostile.rng.choice(keys)
            hostile.tell_all(
                Want(
                    request=self._request,
                    room=room,
                    author=author,
                    log=log,
                    branch=branch,
                    first=0,
                    end=NUMBER_MAX,
                    credit=65_535,
                    newest_first=hostile.rng.random() < 0.5,
                )
            )


class HostileFork(HostileMember):
    """One signs histories of one log that contradict each other, and tells each peer another one."""

    def attack(self, world: World, hostile: Hostile) -> None:
        """Each history has a first batch in common, then goes its own way."""
        first_s = 3.0
        world.at(first_s, lambda: self._fork(world, hostile))

    def _fork(self, world: World, hostile: Hostile) -> None:
        room = world.room("lobby")
        common = hostile.batch(room, ("what all are told",), log=7)
        hostile.tell_all(Push(batch=common.raw))
        for history in range(HISTORIES):
            one = hostile.batch(room, (f"history {history}",), after=common, log=7)
            two = hostile.batch(room, (f"history {history} goes on",), after=one, log=7)
            # Each peer hears another one first, and of the others later; some never from him.
            for index, peer in enumerate(hostile.linked()):
                delay_s = 0.5 * ((history + index) % HISTORIES)
                world.at(world.now_s + delay_s, hostile.send, peer, Push(batch=one.raw), Push(batch=two.raw))


class HostileFrontiers(HostileMember):
    """One says that he holds what nobody has, that he lacks what he has, and that others hold what they lack.

    What compares is his own machine, whose frames are changed: answers that nobody asked for would only part him from
    all others.
    """

    def tamper(self, effect: Effect) -> Effect | None:
        """No hash is ever equal, and each log is said to go on far beyond what there is."""
        if not isinstance(effect, Send) or effect.payload[0] not in _COMPARED:
            return effect
        frame, rng = decode(effect.payload), self.hostile.rng
        if isinstance(frame, Summary):
            return replace(effect, payload=encode(replace(frame, hash=rng.randbytes(16))))
        if isinstance(frame, RoomHashes):
            entries = tuple(RoomHash(each.room, rng.randbytes(16)) for each in frame.entries)
            return replace(effect, payload=encode(replace(frame, entries=entries)))
        assert isinstance(frame, Frontiers)
        ranges = (RangeState(0, FAR, rng.randbytes(32), bytes(32)),)
        states = tuple(state._replace(floor=0, ranges=ranges) for state in frame.entries)
        return replace(effect, payload=encode(replace(frame, entries=states)))

    def attack(self, world: World, hostile: Hostile) -> None:
        """Twice a second, besides what is compared."""
        hostile.repeat(lambda: self._lie(world, hostile), every_s=0.5)

    def _lie(self, world: World, hostile: Hostile) -> None:
        room, rng = world.room("lobby"), hostile.rng
        for author, log, branch in [*hostile.logs(room), LogKey(made_up_peer(rng), 1)]:
            holders = tuple(Holder(peer, FAR) for peer in sorted(world.nodes[n].peer for n in world.honest))
            hostile.tell_all(
                Have(room=room, holder=hostile.peer, entries=(HaveEntry(author, log, branch, FAR),)),
                Denied(room=room, author=author, log=log, reason="logs"),
                Holders(room=room, author=author, log=log, branch=branch, holders=holders),
            )


class HostileClocks(HostileMember):
    """One whose clock says another decade: in what he writes, in his answers to pings, and in his member record."""

    def attack(self, world: World, hostile: Hostile) -> None:
        """Ten years ahead, then ten behind; each batch of his claims yet another time."""
        world.at(1.0, world.jump_clock, hostile.number, 10 * YEAR_S)
        world.at(self.options.duration_s / 2, world.jump_clock, hostile.number, -20 * YEAR_S)
        hostile.repeat(lambda: self._write(world, hostile), every_s=1.0)

    def _write(self, world: World, hostile: Hostile) -> None:
        room, rng = world.room("lobby"), hostile.rng
        now_ms, true_ms = hostile.wall_ms, world.nodes[0].clock.instant(world.now_s).wall_ms
        ahead_ms = rng.choice((0, true_ms + CLOCK_AHEAD_MS_MAX - 5_000 - now_ms, WALL_MS_MAX - now_ms, -now_ms))
        batch = hostile.batch(room, (f"written at {ahead_ms}",), log=rng.getrandbits(32), ahead_ms=ahead_ms)
        hostile.tell_all(Push(batch=batch.raw))
