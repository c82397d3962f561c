"""Frames at random, each well-formed and most of them nonsense: every field takes values that mean something."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TypeVar

from tests.support.hostilepeer import HostilePeer, room_of
from zmqchat.history.batch import NO_DIGEST, Batch
from zmqchat.model.ids import PeerId, RoomId
from zmqchat.model.limits import NUMBER_MAX
from zmqchat.wire import frames
from zmqchat.wire.frames import Frame
from zmqchat.wire.survey_frames import LinksAsked, LinksOf, LinksTold

U64_MAX = 2**64 - 1
NUMBERS = (0, 1, 2, 3, 10, 63, 64, 1_000, NUMBER_MAX - 1, NUMBER_MAX)
BATCHES_KEPT_MAX = 200

Item = TypeVar("Item")


class Chatter:
    """What a peer may say, drawn from a seed; its batches come back in later frames.

    rooms    in which it talks
    authors  whom it talks about, itself among them
    logs     their numbers
    """

    def __init__(self, rng: Random, rooms: Sequence[str], authors: Sequence[PeerId], logs: Sequence[int]) -> None:
        self._rng = rng
        self._names = tuple(rooms)
        self._rooms = (*map(room_of, rooms), RoomId(bytes(16)))
        self._authors = tuple(authors)
        self._logs = tuple(logs)
        self._batches: list[Batch] = []

    def frame(self, peer: HostilePeer) -> Frame:
        """The next thing that this peer says, in answer to what it was sent or not."""
        return self._pick(
            [
                self._push,
                self._push,
                self._push,
                self._page,
                self._comparison,
                self._want,
                self._have,
                self._small,
            ]
        )(peer)

    # Kinds -------------------------------------------------------------------------------------------

    def _push(self, peer: HostilePeer) -> Frame:
        return frames.Push(batch=self._batch(peer).raw)

    def _page(self, peer: HostilePeer) -> Frame:
        asked = [frame.request for frame in peer.got(frames.Want)]
        batches = tuple(self._pick(self._batches).raw for _ in range(self._rng.randrange(3)) if self._batches)
        return frames.Page(request=asked[-1] if asked else 0, batches=batches, done=self._flip())

    def _comparison(self, peer: HostilePeer) -> Frame:
        known = [
            frame.exchange
            for frame in peer.frames[-50:]
            if isinstance(frame, frames.Summary | frames.RoomHashes | frames.Frontiers)
        ]
        exchange = known[-1] if known else 2 * self._rng.randrange(50)
        kind = self._rng.randrange(6)
        if kind == 0:
            hashes = tuple(frames.RoomHash(room, self._bytes(16)) for room in self._rooms)
            return frames.RoomHashes(exchange=exchange, entries=hashes, final=self._flip())
        if kind == 1 or not known:
            return frames.Summary(exchange=exchange, hash=self._bytes(16), reply=self._flip())
        entries = tuple(self._log_state() for _ in range(self._rng.randrange(4)))
        return frames.Frontiers(exchange=exchange, room=self._room(), entries=entries, final=self._flip())

    def _want(self, _peer: HostilePeer) -> Frame:
        return frames.Want(
            request=self._rng.randrange(5),
            room=self._room(),
            author=self._author(),
            log=self._pick(self._logs),
            branch=self._branch(),
            first=self._number(),
            end=self._pick((self._number(), U64_MAX)),
            credit=self._pick((0, 1, 8, 65_535)),
            newest_first=self._flip(),
        )

    def _have(self, _peer: HostilePeer) -> Frame:
        entries = tuple(
            frames.HaveEntry(self._author(), self._pick(self._logs), self._branch(), self._number())
            for _ in range(self._rng.randrange(4))
        )
        return frames.Have(room=self._room(), holder=self._author(), entries=entries)

    def _small(self, _peer: HostilePeer) -> Frame:
        makers: list[Callable[[], Frame]] = [
            lambda: frames.Ping(token=self._number(), wall_ms=self._pick((0, U64_MAX))),
            lambda: frames.Pong(token=self._rng.randrange(4), wall_ms=self._pick((0, U64_MAX))),
            lambda: frames.Interest(rooms=self._rooms[: self._rng.randrange(len(self._rooms) + 1)]),
            lambda: frames.Credit(request=self._rng.randrange(5), pages=self._pick((0, 1, 65_535))),
            lambda: frames.Denied(room=self._room(), author=self._author(), log=self._pick(self._logs), reason="\x1b"),
            lambda: frames.Inquire(token=self._number()),
            lambda: frames.Report(token=self._rng.randrange(4), lines=(("\x1b", "x"),)),
            lambda: LinksAsked(token=self._number()),
            lambda: LinksTold(token=self._rng.randrange(4), lists=(LinksOf(self._bytes(8), self._bytes(16)),)),
            lambda: frames.Peers(entries=(frames.PeerEntry(self._author(), self._flip(), ()),)),
            lambda: frames.Duplicate(instance=self._bytes(16)),
        ]
        return self._pick(makers)()

    # Parts -------------------------------------------------------------------------------------------

    def _batch(self, peer: HostilePeer) -> Batch:
        """A signed batch: going on from one before, forking from it, far beyond it, or at an odd time."""
        own = [batch for batch in self._batches[-30:] if batch.author == peer.peer]
        after = self._pick([None, *own])
        first = self._pick((0, 1, 5, 30, 1_000, 10**9)) if self._rng.random() < 0.1 else None
        number = first if first is not None else after.end if after is not None else 0
        stray = self._bytes(32) if self._rng.random() < 0.1 else None
        previous = NO_DIGEST if number == 0 else stray
        ticks = peer.author.ticks
        sealed_at = self._pick((1, ticks - 100, 2**63, U64_MAX)) if self._rng.random() < 0.1 else None
        batch = peer.author.batch(
            ("noise",) * self._pick((1, 1, 3)),
            room=room_of(self._pick(self._names)),
            after=after,
            log=self._pick((1, 1, 2, 3)),
            first=first,
            previous=previous,
            sealed_at=sealed_at,
        )
        self._batches.append(batch)
        del self._batches[:-BATCHES_KEPT_MAX]
        return batch

    def _log_state(self) -> frames.LogState:
        ranges = tuple(
            frames.RangeState(self._number(), self._number(), self._bytes(32), self._bytes(32))
            for _ in range(self._rng.randrange(4))
        )
        return frames.LogState(self._author(), self._pick(self._logs), self._branch(), self._number(), ranges)

    def _branch(self) -> bytes:
        return self._pick((bytes(8), bytes(8), b"x" * 8, *(batch.digest[:8] for batch in self._batches[-3:])))

    def _room(self) -> RoomId:
        return self._pick(self._rooms)

    def _author(self) -> PeerId:
        return self._pick(self._authors)

    def _number(self) -> int:
        return self._pick(NUMBERS)

    def _bytes(self, size: int) -> bytes:
        return self._pick((bytes(size), self._rng.randbytes(size)))

    def _flip(self) -> bool:
        return self._rng.random() < 0.5

    def _pick(self, items: Sequence[Item]) -> Item:
        return self._rng.choice(items)
