"""The checkers are checked: each bug planted into a machine by a small patch is found by the swarm in a few seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from zmqchat.history import frontier as frontiers
from zmqchat.history.clock import HybridClock, hlc_of
from zmqchat.history.frontier import RoomFrontier
from zmqchat.history.members import NameBook
from zmqchat.history.ranges import Extent, LogFrontier, Span
from zmqchat.model.events import MemberAction
from zmqchat.protocol import fetching
from zmqchat.protocol.broadcast import Broadcast
from zmqchat.protocol.committing import Committing
from zmqchat.protocol.data_effects import OwnStored
from zmqchat.protocol.facts import Stored
from zmqchat.protocol.fetching import Fetching
from zmqchat.protocol.haves import Haves
from zmqchat.protocol.keepers import Keepers, Look
from zmqchat.protocol.ledger import Group, Ledger
from zmqchat.protocol.overlay import Overlay
from zmqchat.protocol.ownlog import OwnLog
from zmqchat.protocol.parting import Parting
from zmqchat.protocol.peers import Peers
from zmqchat.protocol.sync import Sync
from zmqchat.sim.draw import draw
from zmqchat.sim.running import run_checked
from zmqchat.sim.shrink import checkers_of
from zmqchat.sim.swarm import swarm
from zmqchat.wire.frames import HaveEntry
from zmqchat.wire.tree_frames import NO_TREE_ID, Graft

SEEDS_MAX = 500

Plant = Callable[[pytest.MonkeyPatch], None]


def _deliver_before_store(patch: pytest.MonkeyPatch) -> None:
    begin = Committing._begin

    def planted(self: Committing, at: Any) -> None:
        begin(self, at)
        if self._group is not None:
            self.outbox += self._group.delivers
            self._group.delivers = []

    patch.setattr(Committing, "_begin", planted)


def _acknowledge_before_store(patch: pytest.MonkeyPatch) -> None:
    begin = Committing._begin

    def planted(self: Committing, at: Any) -> None:
        begin(self, at)
        for batch, _key, peer in self._group.stored if self._group is not None else ():
            if peer is None:
                self.outbox.append(OwnStored(room=batch.room, log=batch.log, first=batch.first, end=batch.end))

    patch.setattr(Committing, "_begin", planted)


def _take_a_failed_commit_for_done(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Committing, "_failed", lambda self, fact, at: self._stored(Stored(token=fact.token), at))


def _keep_what_was_placed_after_a_failed_commit(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Ledger, "drop", lambda _self, _group: None)


def _claim_to_hold_what_is_above_a_gap(patch: pytest.MonkeyPatch) -> None:
    def planted(self: Haves, room: Any, keys: Any) -> list[HaveEntry]:
        held = [(key, self._ledger.frontier(room, key)) for key in keys]
        return [
            HaveEntry(key.author, key.log, key.branch, frontier.end)
            for key, frontier in held
            if frontier is not None and frontier.end
        ]

    patch.setattr(Haves, "entries", planted)


def _miss_the_last_number_of_a_range(patch: pytest.MonkeyPatch) -> None:
    missing = RoomFrontier.missing

    def planted(self: RoomFrontier, *arguments: Any) -> list[Span]:
        return [(first, end - 1) for first, end in missing(self, *arguments) if first < end - 1]

    patch.setattr(RoomFrontier, "missing", planted)


def _follow_a_clock_far_ahead(patch: pytest.MonkeyPatch) -> None:
    def planted(self: HybridClock, hlc: int, _wall_ms: int) -> bool:
        self.last = max(self.last, hlc)
        return True

    patch.setattr(HybridClock, "observe", planted)
    patch.setattr(HybridClock, "ahead_ms", lambda _self, _wall_ms: 0)


def _let_the_clock_go_back(patch: pytest.MonkeyPatch) -> None:
    def planted(self: HybridClock, wall_ms: int) -> int:
        self.last = hlc_of(wall_ms)
        return self.last

    patch.setattr(HybridClock, "tick", planted)


def _skip_a_gap_in_a_frontier(patch: pytest.MonkeyPatch) -> None:
    def planted(lower: Any, batch: Any) -> Any:
        if batch.first < lower.end or not lower.extents:
            return None
        last = lower.extents[-1]
        extents = (*lower.extents[:-1], Extent(last.first, batch.end, last.branch))
        return lower._replace(end=batch.end, head=batch.digest, sealed_at=batch.sealed_at, extents=extents)

    patch.setattr(frontiers, "extended", planted)


def _deliver_twice_what_came_in_one_group(patch: pytest.MonkeyPatch) -> None:
    arrive = Group.arrive

    def planted(self: Group, room: Any, key: Any, first: int, end: int, batch_end: int, raw: Any, **marks: Any) -> None:
        arrive(self, room, key, first, end, batch_end, raw, **marks)
        if len(self.stored) > 1 and raw is not None:
            arrive(self, room, key, first, end, batch_end, raw, **marks)

    patch.setattr(Group, "arrive", planted)


def _forget_how_far_was_delivered(patch: pytest.MonkeyPatch) -> None:
    pack = LogFrontier.pack
    patch.setattr(LogFrontier, "pack", lambda self: pack(self._replace(delivered=0)))


def _deliver_what_is_above_a_gap_at_once(patch: pytest.MonkeyPatch) -> None:
    keep = Group.keep

    def planted(self: Group, batch: Any, placement: Any, peer: Any, live: bool) -> None:
        held = self._ledger.rooms[batch.room].frontier[placement.key]
        if batch.first > held.delivered:
            self.put_frontier(batch.room, placement.key, held.with_delivered(batch.first))
        keep(self, batch, placement, peer, live)

    patch.setattr(Group, "keep", planted)


def _remember_as_equal_what_differed(patch: pytest.MonkeyPatch) -> None:
    ended = Sync._ended

    def planted(self: Sync, peer: Any, exchange: Any, at: Any) -> None:
        exchange.same.update(exchange.differ)
        ended(self, peer, exchange, at)

    patch.setattr(Sync, "_ended", planted)


def _ask_a_peer_for_any_number_of_logs(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fetching, "REQUESTS_PER_PEER", 1_000)
    sizes = Fetching.sizes
    patch.setattr(
        Fetching, "sizes", lambda self: tuple(size._replace(most=min(size.most, 2)) for size in sizes(self)[1:])
    )


def _write_on_in_a_log_that_was_copied(patch: pytest.MonkeyPatch) -> None:
    restore = OwnLog.restore

    def planted(self: OwnLog, row: Any, **state: Any) -> None:
        restore(self, row, **{**state, "moved": False})

    patch.setattr(OwnLog, "restore", planted)


def _keep_two_connections(patch: pytest.MonkeyPatch) -> None:
    fired = Peers._timer_fired

    def planted(self: Peers, fact: Any, at: Any) -> None:
        if fact.name[1] != "loser":
            fired(self, fact, at)

    patch.setattr(Peers, "_timer_fired", planted)


def _keep_who_has_left(patch: pytest.MonkeyPatch) -> None:
    note = NameBook.note_action

    def planted(self: NameBook, author: Any, action: int, hlc: int) -> bool:
        return action != MemberAction.LEAVE and note(self, author, action, hlc)

    patch.setattr(NameBook, "note_action", planted)


def _prune_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Broadcast, "_prune", lambda _self, _room, _peer, _at: None)


def _drop_a_prune(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Broadcast, "_pruned", lambda _self, _peer, _frame, _at: None)


def _ignore_a_graft(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Broadcast, "_grafted", lambda _self, _peer, _frame, _at: None)


def _forget_the_resend_after_a_graft(patch: pytest.MonkeyPatch) -> None:
    grafted = Broadcast._grafted

    def planted(self: Broadcast, peer: Any, frame: Graft, at: Any) -> None:
        grafted(self, peer, replace(frame, id=NO_TREE_ID), at)

    patch.setattr(Broadcast, "_grafted", planted)


def _take_in_any_number_of_neighbours(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Overlay, "_has_room", lambda _self, _subnet, _most: True)


def _offer_no_room_that_was_left(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Parting, "_offer", lambda _self, _room, _part: None)


def _take_up_no_room_of_others(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Keepers, "look", lambda _self, _room, _at: Look(False, 0))


PLANTED: dict[Plant, int] = {
    _deliver_before_store: 11,
    _acknowledge_before_store: 11,
    _take_a_failed_commit_for_done: 10,
    _keep_what_was_placed_after_a_failed_commit: 10,
    _claim_to_hold_what_is_above_a_gap: 10,
    _miss_the_last_number_of_a_range: 0,
    _follow_a_clock_far_ahead: 2,
    _let_the_clock_go_back: 26,
    _skip_a_gap_in_a_frontier: 4,
    _deliver_twice_what_came_in_one_group: 0,
    _forget_how_far_was_delivered: 0,
    _deliver_what_is_above_a_gap_at_once: 10,
    _remember_as_equal_what_differed: 1,
    _ask_a_peer_for_any_number_of_logs: 0,
    _write_on_in_a_log_that_was_copied: 15,
    _keep_two_connections: 8,
    _keep_who_has_left: 75,
    _prune_nothing: 96,
    _drop_a_prune: 316,
    _ignore_a_graft: 96,
    _forget_the_resend_after_a_graft: 192,
    _take_in_any_number_of_neighbours: 55,
    _offer_no_room_that_was_left: 87,
    _take_up_no_room_of_others: 45,
}
"""Each with the seed at which it was found last: the quick test begins there, the slow one at 0."""

SEEDS_OF_CI_MAX = 50
"""What takes more is looked for from 0 on by hand: each seed costs some 0.2 s."""

FROM_THE_FIRST = [
    pytest.param(plant, marks=pytest.mark.slow if seed <= SEEDS_OF_CI_MAX else pytest.mark.crowd)
    for plant, seed in PLANTED.items()
]

NAMES = [plant.__name__.strip("_").replace("_", " ") for plant in PLANTED]


def found_by(plant: Plant, seeds: range, patch: pytest.MonkeyPatch) -> str:
    """Which seed finds the bug, and by which checkers."""
    plant(patch)
    tally = swarm(map(draw, seeds), run_checked, workers=1, told=lambda _outcome: None)
    assert tally.failed is not None, f"not found in {len(seeds)} seeds"
    return f"seed {tally.failed.seed}, by {', '.join(sorted(checkers_of(tally.failed)))}"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("plant", PLANTED, ids=NAMES)
def test_a_planted_bug_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """The swarm stops at a seed that fails."""
    assert found_by(plant, range(PLANTED[plant], SEEDS_MAX), monkeypatch)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("plant", FROM_THE_FIRST, ids=NAMES)
def test_a_planted_bug_is_found_from_the_first_seed_on(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """A swarm of 500 that knows nothing of the bug meets it; `pytest -s` tells where."""
    print(found_by(plant, range(SEEDS_MAX), monkeypatch))
