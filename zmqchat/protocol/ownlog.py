"""Our own log number: under which one we write, and when another is drawn.

A number under which more may exist elsewhere than here is never written under again, so that a restored
backup, a copied home or a snapshot makes no second history:

    fresh     the store was just made
    moved     machine id or the data file's inode differ from those recorded
    unclean   power was lost (unclean stop, another boot id) and no peer has answered since the start
    ahead     a peer holds more of our log than we do
    forked    the log is forked
    clock     our clock was far ahead and was put right: `sealed_at` must rise along a log

After a power loss the disk may have lied, so peers are asked: the first exchange that ends without one
that is ahead clears the doubt. `doubt_s` says how long a caller that can wait should wait for it; one that
can't gets a new number at once, which is always safe.

A peer's word that it holds more is free, and each number costs a place among LOGS_PER_AUTHOR_MAX, so
unproven words make us draw UNPROVEN_DRAWS_MAX times a run, and never where that would take one of the last
LOGS_KEPT numbers of a room; beyond that only a batch with our signature does.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random

from zmqchat.history.clock import HybridClock
from zmqchat.model.config import Config
from zmqchat.model.ids import LogKey
from zmqchat.model.limits import CLOCK_AHEAD_MS_MAX, LOGS_PER_AUTHOR_MAX, NUMBER_MAX
from zmqchat.protocol.data_effects import OwnLogDrawn
from zmqchat.protocol.data_facts import ExchangeEnded, OwnLogAhead
from zmqchat.protocol.effects import Effect
from zmqchat.protocol.facts import Fact, Instant, NodeStarted
from zmqchat.protocol.ledger import Group, Ledger
from zmqchat.protocol.machine import Machine

UNPROVEN_DRAWS_MAX = 4
LOGS_KEPT = LOGS_PER_AUTHOR_MAX // 4
"""Numbers of a room that no peer's mere word can use up, in however many runs."""

OWN_LOG_ROW = b"own-log"
"""The key in table `meta`."""

_ROW = struct.Struct(">BQ")
_ROW_VERSION = 1


class OwnLog(Machine):
    """The machine that draws log numbers; `ledger.own_log` is the present one."""

    timer = "ownlog"

    def __init__(self, config: Config, ledger: Ledger, rng: Random) -> None:
        super().__init__()
        self._config = config
        self._ledger = ledger
        self._rng = rng
        self._in_doubt = False
        self._doubt_until_s = 0.0
        self._row_wanted = False
        self._row_contributed = False
        self._unproven = 0
        self.on_drawn: Callable[[int, str], list[Effect | Fact]] = _nobody
        self.facts = {NodeStarted: self._started, ExchangeEnded: self._exchange_ended, OwnLogAhead: self._ahead}

    def restore(self, row: bytes | None, *, moved: bool, power_lost: bool, clock: HybridClock, wall_ms: int) -> None:
        """Take up the number that the store holds, or draw one.

        row         of table `meta` under OWN_LOG_ROW, None in a fresh store
        moved       the home was copied or restored
        power_lost  the stop before was not clean, and the machine was booted since
        """
        if row is None or len(row) != _ROW.size or row[0] != _ROW_VERSION:
            self._draw("fresh")
        else:
            self._ledger.own_log = _ROW.unpack(row)[1]
            self._in_doubt = power_lost
            if moved:
                self._draw("moved")
        key = LogKey(self._ledger.me, self._ledger.own_log)
        if any(entry.frontier.is_forked(key.author, key.log) for entry in self._ledger.rooms.values()):
            self._draw("forked")
        held = [self._ledger.frontier(room, key) for room in self._ledger.rooms]
        sealed = [part.sealed_at for frontier in held if frontier is not None for part in frontier.ranges]
        if sealed and not clock.observe(max(sealed), wall_ms):
            self._draw("clock")

    @property
    def is_in_doubt(self) -> bool:
        """Whether there may be more of our own log elsewhere than here."""
        return self._in_doubt

    def doubt_s(self, at: Instant) -> float:
        """How long a caller that can wait should wait for peers before it posts; 0 for not at all."""
        return max(0.0, self._doubt_until_s - at.now_s) if self._in_doubt else 0.0

    def ready(self, clock: HybridClock, at: Instant) -> int:
        """The number to write under now, drawn anew where it must be."""
        if self._in_doubt:
            self._draw("unclean")
        if clock.ahead_ms(at.wall_ms) > CLOCK_AHEAD_MS_MAX:
            clock.restart(at.wall_ms)
            self._draw("clock")
        return self._ledger.own_log

    def contribute(self, group: Group) -> None:
        """Make a drawn number durable together with the first batch under it."""
        if self._row_wanted and not self._row_contributed:
            self._row_contributed = True
            group.put_row("meta", OWN_LOG_ROW, _ROW.pack(_ROW_VERSION, self._ledger.own_log))

    def committed(self) -> None:
        """The group is durable."""
        if self._row_contributed:
            self._row_wanted = self._row_contributed = False

    def failed(self) -> None:
        """It is not: the row goes with the next one."""
        self._row_contributed = False

    def _draw(self, reason: str) -> None:
        old = self._ledger.own_log
        taken = {
            key.log for entry in self._ledger.rooms.values() for key, _ in entry.frontier.of_author(self._ledger.me)
        }
        number = old
        while number == old or number in taken or not 0 < number <= NUMBER_MAX:
            number = self._rng.getrandbits(53)
        self._ledger.own_log = number
        self._in_doubt = False
        self._row_wanted = True
        self._row_contributed = False
        self.outbox += self.on_drawn(old, reason)
        self.outbox.append(OwnLogDrawn(log=number, reason=reason))

    def _started(self, _fact: NodeStarted, at: Instant) -> None:
        self._doubt_until_s = at.now_s + self._config.log_probe_s

    def _exchange_ended(self, _fact: ExchangeEnded, _at: Instant) -> None:
        self._in_doubt = False

    def _ahead(self, fact: OwnLogAhead, _at: Instant) -> None:
        if not fact.proven:
            if self._unproven >= UNPROVEN_DRAWS_MAX or self._logs_used() >= LOGS_PER_AUTHOR_MAX - LOGS_KEPT:
                return
            self._unproven += 1
        self._draw("ahead")

    def _logs_used(self) -> int:
        """How many numbers we have used, in the room where they are the most."""
        rooms = self._ledger.rooms.values()
        return max(
            (len({key.log for key, _ in entry.frontier.of_author(self._ledger.me)}) for entry in rooms), default=0
        )


def _nobody(_old: int, _reason: str) -> list[Effect | Fact]:
    """Nothing waits before `publishing` is built."""
    return []
