"""The cable between a node and everybody else, which can be pulled: nothing leaves and nothing arrives any more.

Like a pulled cable it tells nobody: connections stay open and silent, and each side notices by itself that it does
not hear the other. The demo cuts a node off with it, without a right that an ordinary user lacks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from zmqchat.net.transport import Ports, Sink, Transport, TransportStats
from zmqchat.protocol.effects import AnswerDoor, DialDoor, Effect, PublishFeed, Send, SendDoor
from zmqchat.protocol.facts import DoorAnswered, DoorKnocked, Fact, FeedReceived, FrameReceived

if TYPE_CHECKING:
    from zmqchat.node.node import Node

OUT: Final = frozenset({AnswerDoor, DialDoor, PublishFeed, Send, SendDoor})
IN: Final = frozenset({DoorAnswered, DoorKnocked, FeedReceived, FrameReceived})


class Cable:
    """A transport that carries no frame while `is_cut`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.is_cut = False

    async def start(
        self,
        curve_secret: bytes,
        curve_public: bytes,
        listen: tuple[str | None, int | None],
        preferred_ports: tuple[int, int, int] | None,
        sink: Sink,
    ) -> Ports:
        """See Transport.start."""

        def heard(fact: Fact) -> None:
            if not (self.is_cut and type(fact) in IN):
                sink(fact)

        return await self._transport.start(curve_secret, curve_public, listen, preferred_ports, heard)

    def apply(self, effect: Effect) -> None:
        """See Transport.apply."""
        if not (self.is_cut and type(effect) in OUT):
            self._transport.apply(effect)

    async def stop(self, flush_s: float) -> None:
        """See Transport.stop."""
        await self._transport.stop(flush_s)

    def stats(self) -> TransportStats:
        """See Transport.stats."""
        return self._transport.stats()

    @property
    def handshake_addresses(self) -> tuple[str, ...]:
        """See Transport.handshake_addresses."""
        return self._transport.handshake_addresses


def cut_off(node: Node, is_cut: bool = True) -> None:
    """Pull the cable of a running node, or plug it in again."""
    node._core().transport.is_cut = is_cut
