"""Asking for our service and hearing the answers, on a `Zeroconf` that somebody else opened.

zeroconf's own browser is not used: it keeps a row for each name that it ever heard and asks again for each,
which a hostile network makes endless, and it asks only when records run out, so that two networks which are
joined in between would not find each other for most of an hour. Here one question goes out at growing
intervals, and never more often than every ASK_MAX_S once things are quiet.

What comes in is read from zeroconf's cache once a packet is complete. Records of other services are thrown
out of that cache again, so that a network full of printers costs nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from zeroconf import BadTypeInNameException, RecordUpdate, RecordUpdateListener, Zeroconf, current_time_millis

# Records and questions have no other home; `zeroconf` itself names them too, but not to a type checker.
from zeroconf._dns import DNSPointer, DNSQuestion, DNSRecord, DNSService, DNSText
from zeroconf._protocol.outgoing import DNSOutgoing
from zeroconf.asyncio import AsyncServiceInfo

from zmqchat.discovery.discovery import SERVICE_TYPE
from zmqchat.discovery.records import TXT_BYTES_MAX

ASK_FIRST_S: Final = (0.02, 0.12)
"""Before the first question: nodes that start together must not all ask in the same millisecond (RFC 6762, 5.2)."""

ASK_MAX_S: Final = 60.0
"""Between questions in the long run."""

KNOWN_ANSWERS_MAX: Final = 256
"""Names told with a question so that their owners keep quiet: 64 B each."""

UNRESOLVED_MAX: Final = 64
"""Names heard without their other records, to be asked for; a further one replaces the oldest."""

RESOLVE_AT_ONCE_MAX: Final = 16
"""Names asked for in one packet, and at most one such packet every RESOLVE_S."""

RESOLVE_S: Final = 0.25
RESOLVE_TRIES_MAX: Final = 3

_TYPE_A, _TYPE_PTR, _TYPE_TXT, _TYPE_AAAA, _TYPE_SRV = 1, 12, 16, 28, 33
_CLASS_IN: Final = 1
_KEY: Final = SERVICE_TYPE.lower()


class Browser(RecordUpdateListener):
    """Tells of each record set of our service type that was heard whole.

    found     an instance name and its records, each time that they come
    gone      an instance's pointer said goodbye (anybody can say that)
    known     whether this instance was good, so that its owner need not answer again
    ignored   counts what was passed over, by reason
    """

    def __init__(
        self,
        zeroconf: Zeroconf,
        *,
        found: Callable[[AsyncServiceInfo], None],
        gone: Callable[[str], None],
        known: Callable[[str], bool],
        ignored: Counter[str],
        rng: random.Random,
    ) -> None:
        self.queries = 0
        self._zeroconf = zeroconf
        self._found = found
        self._gone = gone
        self._known = known
        self._ignored = ignored
        self._rng = rng
        self._marked: dict[str, None] = {}
        self._foreign: list[DNSRecord] = []
        self._unresolved: dict[str, int] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._restart = asyncio.Event()
        self._incomplete = asyncio.Event()

    def start(self) -> None:
        """Listen, and ask for the first time."""
        self._zeroconf.async_add_listener(self, None)
        self._tasks = [
            asyncio.create_task(self._ask(), name="zmqchat discovery asks"),
            asyncio.create_task(self._resolve(), name="zmqchat discovery resolves"),
        ]

    async def stop(self) -> None:
        """Neither ask nor listen any more."""
        self._zeroconf.async_remove_listener(self)
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks = []

    def ask_again(self) -> None:
        """Begin the series of questions anew; the first one names nobody as known."""
        self._restart.set()

    # What is heard -----------------------------------------------------------------------------------

    def async_update_records(self, _: Zeroconf, now: float, records: list[RecordUpdate]) -> None:
        """Note what a packet touches; its records are not in the cache yet."""
        for update in records:
            record = update.new
            if isinstance(record, DNSPointer) and record.key == _KEY:
                if record.is_expired(now):
                    self._gone(record.alias)
                else:
                    self._marked[record.alias] = None
            elif not record.key.endswith("." + _KEY):
                if record.type not in (_TYPE_A, _TYPE_AAAA):
                    self._foreign.append(record)
            elif isinstance(record, DNSText) and len(record.text) > TXT_BYTES_MAX:
                self._ignored["long"] += 1
                self._foreign.append(record)
            elif isinstance(record, DNSText | DNSService) and not record.is_expired(now):
                self._marked[record.name] = None

    def async_update_records_complete(self) -> None:
        """Read what the packet touched."""
        foreign, self._foreign = self._foreign, []
        if foreign:
            self._zeroconf.cache.async_remove_records(foreign)
        marked, self._marked = self._marked, {}
        for name in marked:
            self._read(name)

    def _read(self, name: str) -> None:
        try:
            info = AsyncServiceInfo(SERVICE_TYPE, name)
        except BadTypeInNameException:
            self._ignored["name"] += 1
            return
        if info.load_from_cache(self._zeroconf):
            self._unresolved.pop(name, None)
            self._found(info)
            return
        if name not in self._unresolved and len(self._unresolved) >= UNRESOLVED_MAX:
            del self._unresolved[next(iter(self._unresolved))]
            self._ignored["unresolved"] += 1
        self._unresolved.setdefault(name, 0)
        self._incomplete.set()

    # What is asked -----------------------------------------------------------------------------------

    async def _ask(self) -> None:
        while True:
            await asyncio.sleep(self._rng.uniform(*ASK_FIRST_S))
            self._restart.clear()
            self._send([(SERVICE_TYPE, _TYPE_PTR)])
            wait_s = 1.0
            while not self._restart.is_set():
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._restart.wait(), wait_s * self._rng.uniform(0.9, 1.1))
                    break
                self._send([(SERVICE_TYPE, _TYPE_PTR)], self._known_answers())
                wait_s = min(2 * wait_s, ASK_MAX_S)

    def _known_answers(self) -> list[DNSRecord]:
        now = current_time_millis()
        records = self._zeroconf.cache.async_all_by_details(SERVICE_TYPE, _TYPE_PTR, _CLASS_IN)
        fresh = [
            record
            for record in records
            if isinstance(record, DNSPointer) and not record.is_stale(now) and self._known(record.alias)
        ]
        return list(fresh[-KNOWN_ANSWERS_MAX:])

    async def _resolve(self) -> None:
        while True:
            await self._incomplete.wait()
            await asyncio.sleep(RESOLVE_S)
            names = list(self._unresolved)[:RESOLVE_AT_ONCE_MAX]
            if names:
                self._send([question for name in names for question in self._missing(name)])
            for name in names:
                tries = self._unresolved.pop(name) + 1
                if tries < RESOLVE_TRIES_MAX:
                    self._unresolved[name] = tries  # at the end of the line, so that others have their turn
                else:
                    self._ignored["unresolved"] += 1
            if not self._unresolved:
                self._incomplete.clear()

    def _missing(self, name: str) -> list[tuple[str, int]]:
        service = self._zeroconf.cache.get_by_details(name, _TYPE_SRV, _CLASS_IN)
        questions = [(name, _TYPE_SRV), (name, _TYPE_TXT)]
        if isinstance(service, DNSService):
            questions += [(service.server, _TYPE_A), (service.server, _TYPE_AAAA)]
        return questions

    def _send(self, questions: Iterable[tuple[str, int]], known: Iterable[DNSRecord] = ()) -> None:
        """Multicast a question to be answered by multicast: where several programs share port 5353, a
        unicast answer would reach only one of them."""
        out = DNSOutgoing(0)
        for name, kind in questions:
            out.add_question(DNSQuestion(name, kind, _CLASS_IN))
        now = current_time_millis()
        for record in known:
            out.add_answer_at_time(record, now)
        self.queries += 1
        self._zeroconf.async_send(out)
