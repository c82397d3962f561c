"""A cut cable carries no frame either way, and everything again once it is plugged in."""

from __future__ import annotations

from zmqchat.model.addresses import Endpoint
from zmqchat.model.ids import PeerId
from zmqchat.net.transport import Ports, Sink, TransportStats
from zmqchat.node.cable import Cable
from zmqchat.protocol.effects import DialDoor, Effect, Expel, Send
from zmqchat.protocol.facts import DirectClosed, DoorAnswered, Fact, FrameReceived

PEER = PeerId(bytes(32))
SEND = Send(peer=PEER, payload=b"x", outbound=True)
DIAL = DialDoor(dial=1, endpoint=Endpoint("127.0.0.1", 42100), payload=b"hello")
EXPEL = Expel(peer=PEER, reason="silent")
HEARD = FrameReceived(peer=PEER, payload=b"x", inbound=True)
ANSWERED = DoorAnswered(dial=1, payload=b"welcome")
CLOSED = DirectClosed(peer=PEER, reason="lost")


class Recorder:
    """A transport that keeps what it was told."""

    handshake_addresses: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.applied: list[Effect] = []
        self.tell: Sink = lambda _fact: None

    async def start(
        self,
        curve_secret: bytes,
        curve_public: bytes,
        listen: tuple[str | None, int | None],
        preferred_ports: tuple[int, int, int] | None,
        sink: Sink,
    ) -> Ports:
        """Keep the sink."""
        self.tell = sink
        return Ports(1, 2, 3)

    def apply(self, effect: Effect) -> None:
        """Keep the effect."""
        self.applied.append(effect)

    async def stop(self, flush_s: float) -> None:
        """Nothing to close."""

    def stats(self) -> TransportStats:
        """Nothing was counted."""
        return TransportStats()


async def test_a_whole_cable_carries_everything() -> None:
    """Effects reach the transport and facts the sink, ports come back."""
    recorder, heard = Recorder(), list[Fact]()
    cable = Cable(recorder)
    assert await cable.start(b"", b"", (None, None), None, heard.append) == (1, 2, 3)
    for effect in (SEND, DIAL, EXPEL):
        cable.apply(effect)
    for fact in (HEARD, ANSWERED, CLOSED):
        recorder.tell(fact)
    assert recorder.applied == [SEND, DIAL, EXPEL]
    assert heard == [HEARD, ANSWERED, CLOSED]


async def test_a_cut_cable_carries_no_frame_until_it_is_plugged_in() -> None:
    """Frames are lost both ways, while what concerns this side's own sockets goes on."""
    recorder, heard = Recorder(), list[Fact]()
    cable = Cable(recorder)
    await cable.start(b"", b"", (None, None), None, heard.append)
    cable.is_cut = True
    for effect in (SEND, DIAL, EXPEL):
        cable.apply(effect)
    for fact in (HEARD, ANSWERED, CLOSED):
        recorder.tell(fact)
    assert recorder.applied == [EXPEL]
    assert heard == [CLOSED]
    cable.is_cut = False
    cable.apply(SEND)
    recorder.tell(HEARD)
    assert recorder.applied == [EXPEL, SEND]
    assert heard == [CLOSED, HEARD]
