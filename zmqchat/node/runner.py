"""The real runner: feeds the mesh facts from sockets, store and clock, and applies its effects in order.

Everything runs on one event loop; only the store's writer and readers are threads, and what they report
comes back through one wake-up a group. A fact that arrives while another is handled waits its turn.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from zmqchat.net.transport import Transport
from zmqchat.protocol.effects import Effect, LoadRange, SetTimer, Store
from zmqchat.protocol.facts import Fact, Instant, LoopLagged, RangeLoaded, Stored, StoreFailed, TimerFired, Woke
from zmqchat.protocol.mesh import Mesh
from zmqchat.store.store import MessageStore, StoreOutcome

WATCH_INTERVAL_S = 1.0
LAG_TOLERATED_S = 1.0
SLEEP_NOTICED_S = 30.0
"""Wall clock this far ahead of the monotonic one since the last look: the machine slept. So did a loop that stood
still for longer than others keep a silent link, if that is less."""
SLEEP_LEAST_S = 5.0
"""A loop that stands still for less is only busy, however short timings are."""


SWITCH_INTERVAL_S = 0.0001
"""With Python's 5 ms the store's writer waits that long for the interpreter after each call into LMDB while the
loop is busy: a commit takes 17 ms instead of 1."""


def share_interpreter() -> None:
    """Let threads of this process take turns more often; a setting of the interpreter, left as it is afterwards."""
    if sys.getswitchinterval() > SWITCH_INTERVAL_S:
        sys.setswitchinterval(SWITCH_INTERVAL_S)


def wall_ms() -> int:
    """Milliseconds since 1970, never negative."""
    return max(0, time.time_ns() // 1_000_000)


class Runner:
    """Carries out what the machines want."""

    def __init__(
        self,
        mesh: Mesh,
        transport: Transport,
        store: MessageStore,
        failed: Callable[[BaseException], None],
        *,
        link_dead_s: float = SLEEP_NOTICED_S,
    ) -> None:
        self._mesh = mesh
        self._transport = transport
        self._store = store
        self._failed = failed
        self._sleep_s = min(SLEEP_NOTICED_S, max(SLEEP_LEAST_S, link_dead_s))
        self.on_wake: Callable[[], None] = _nothing
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Fact] = deque()
        self._busy = False
        self._settling = False
        self._stopped = False
        self._timers: dict[tuple[Hashable, ...], asyncio.TimerHandle] = {}
        self._watch: asyncio.TimerHandle | None = None
        self._watched_s = 0.0
        self._watched_wall_s = 0.0
        self._appliers: dict[type[Effect], Callable[[Any], None]] = {
            SetTimer: self._set_timer,
            Store: self._store_writes,
            LoadRange: self._load_range,
        }

    def on(self, appliers: Mapping[type[Effect], Callable[[Any], None]]) -> None:
        """Say who carries out further types of effect; all others go to the transport."""
        self._appliers.update(appliers)

    def now(self) -> Instant:
        """This moment."""
        return Instant(self._loop.time(), wall_ms())

    def feed(self, fact: Fact) -> None:
        """Let the mesh handle this fact, after those that wait."""
        if self._stopped:
            return
        self._queue.append(fact)
        if not self._busy:
            self._run()

    def settle_soon(self) -> None:
        """Collect what method orders (posting) left in outboxes at the end of this turn of the loop."""
        if not self._settling:
            self._settling = True
            self._loop.call_soon(self._end_of_turn)

    def start_watch(self) -> None:
        """Watch for a lagging loop and a machine that slept."""
        self._watched_s, self._watched_wall_s = self._loop.time(), time.time()
        self._watch = self._loop.call_later(WATCH_INTERVAL_S, self._look)

    def stop(self) -> None:
        """Feed and fire nothing more."""
        self._stopped = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._watch is not None:
            self._watch.cancel()

    def store_notify(self, outcomes: Sequence[tuple[int, StoreOutcome]]) -> None:
        """The store's writer finished a group; called on its thread."""
        try:
            self._loop.call_soon_threadsafe(self._stored, outcomes)
        except RuntimeError:
            # the loop is closed: a node that was abandoned rather than stopped; what is stored is stored
            return

    def _end_of_turn(self) -> None:
        self._settling = False
        self.settle()

    def settle(self) -> None:
        """Collect what method orders left in outboxes at once."""
        if self._stopped:
            return
        if self._busy:
            self.settle_soon()
            return
        self._busy = True
        try:
            self._mesh.settle(self.now())
            self._apply()
        except BaseException as error:
            self._failed(error)
            raise
        finally:
            self._busy = False
        if self._queue:
            self._run()

    def _run(self) -> None:
        self._busy = True
        try:
            while self._queue:
                self._mesh.handle(self._queue.popleft(), self.now())
                self._apply()
        except BaseException as error:
            self._failed(error)
            raise
        finally:
            self._busy = False

    def _apply(self) -> None:
        for effect in self._mesh.take_effects():
            applier = self._appliers.get(type(effect))
            if applier is not None:
                applier(effect)
            else:
                self._transport.apply(effect)

    def _set_timer(self, effect: SetTimer) -> None:
        timer = self._timers.pop(effect.name, None)
        if timer is not None:
            timer.cancel()
        if effect.at_s is not None:
            self._timers[effect.name] = self._loop.call_at(effect.at_s, self._fire, effect.name)

    def _fire(self, name: tuple[Hashable, ...]) -> None:
        self._timers.pop(name, None)
        self.feed(TimerFired(name=name))

    def _store_writes(self, effect: Store) -> None:
        self._store.submit(effect.token, effect.writes)

    def _stored(self, outcomes: Sequence[tuple[int, StoreOutcome]]) -> None:
        for token, outcome in outcomes:
            if outcome.ok:
                self.feed(Stored(token=token))
            else:
                self.feed(StoreFailed(token=token, full=outcome.full, detail=outcome.detail))

    def _load_range(self, effect: LoadRange) -> None:
        def read() -> tuple[bytes, ...]:
            return self._store.load_range(
                effect.room, effect.key, effect.first, effect.end, effect.bytes_max, newest_first=effect.newest_first
            )

        def done(future: Future[tuple[bytes, ...]]) -> None:
            failed = future.cancelled() or future.exception() is not None
            fact = RangeLoaded(token=effect.token, batches=() if failed else future.result(), failed=failed)
            try:
                self._loop.call_soon_threadsafe(self.feed, fact)
            except RuntimeError:
                return  # the loop is closed; nobody waits for this page any more

        self._store.read(read).add_done_callback(done)

    def _look(self) -> None:
        """Once a second: did the loop stand still, did the machine sleep?"""
        now_s, wall_s = self._loop.time(), time.time()
        elapsed_s, elapsed_wall_s = now_s - self._watched_s, wall_s - self._watched_wall_s
        self.start_watch()
        slept_s, lag_s = elapsed_wall_s - elapsed_s, elapsed_s - WATCH_INTERVAL_S
        if max(slept_s, lag_s) > self._sleep_s:
            self.feed(Woke(slept_s=max(slept_s, lag_s)))
            self.on_wake()
        elif lag_s > LAG_TOLERATED_S:
            self.feed(LoopLagged(lag_s=lag_s))


def _nothing() -> None:
    """Nobody else wants to hear of a wake."""
