"""What the parts of a transport share: context, loop, counters, and the way out for facts."""

from __future__ import annotations

import asyncio
from collections import Counter, deque

import zmq

from zmqchat.net.options import CurvePair, make_context
from zmqchat.net.resolve import Resolver
from zmqchat.net.transport import Sink
from zmqchat.protocol.facts import Fact


class Engine:
    """One a started transport; facts told while an effect is applied wait until it is."""

    def __init__(self, loop: asyncio.AbstractEventLoop, own: CurvePair, sink: Sink) -> None:
        self.loop = loop
        self.own = own
        self.context: zmq.Context[zmq.Socket[bytes]] = make_context()
        self.resolver = Resolver(loop)
        self.counters: Counter[str] = Counter()
        self.applying = False
        self.closed = False
        self._sink = sink
        self._waiting: deque[Fact] = deque()

    def tell(self, fact: Fact) -> None:
        """Hand the fact to the sink, in the order told, never from within `apply`."""
        if self.closed:
            return
        if not self.applying and not self._waiting:
            self._sink(fact)
            return
        if not self._waiting:
            self.loop.call_soon(self._tell_waiting)
        self._waiting.append(fact)

    def _tell_waiting(self) -> None:
        for _ in range(len(self._waiting)):
            if self.closed:
                return
            fact = self._waiting[0]
            try:
                self._sink(fact)
            finally:
                self._waiting.popleft()
        if self._waiting:
            self.loop.call_soon(self._tell_waiting)
