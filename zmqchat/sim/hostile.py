"""A hostile node: its machines run on as those of any other, but a scenario changes what they send, and speaks itself.

How it works. The node is let in, linked to and told of everything as an honest one is. Its plan's `tamper` sees each
effect of its machines, and changes or drops it; `Hostile` sends frames that no machine would send. It signs
with its own key and with those of identities that it made up; nobody else's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from zmqchat.crypto.twin import TwinCrypto
from zmqchat.history.batch import NO_DIGEST, Batch, seal
from zmqchat.history.clock import hlc_of
from zmqchat.model.addresses import Endpoint
from zmqchat.model.events import Kind
from zmqchat.model.ids import LogKey, PeerId, RoomId
from zmqchat.protocol.effects import Send
from zmqchat.protocol.roster import MEMBER_LABEL
from zmqchat.sim.routes import PORTS
from zmqchat.sim.world import World
from zmqchat.wire.events import encode_event
from zmqchat.wire.frames import Frame, encode
from zmqchat.wire.overlay_frames import Contact
from zmqchat.wire.roster_frames import MemberRecord, pack_record


def made_up_peer(rng: Random) -> PeerId:
    """An identity of nobody."""
    raw = bytearray(rng.randbytes(32))
    raw[31] &= 0x7F
    return PeerId(bytes(raw))


def made_up_contact(rng: Random) -> Contact:
    """Somebody who is nowhere, and where to look for him."""
    host = f"10.200.{rng.randrange(250)}.{rng.randrange(1, 250)}"
    return Contact(made_up_peer(rng), (Endpoint(host, *PORTS),))


class Hostile:
    """The voice of one hostile node.

    rng   its own chance
    """

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.number = number
        self.peer = world.nodes[number].peer
        self.crypto = TwinCrypto(self.peer)
        self.rng = Random(f"{world.options.seed} hostile {number}")

    @property
    def wall_ms(self) -> int:
        """What its clock shows."""
        return self.world.nodes[self.number].clock.instant(self.world.now_s).wall_ms

    def logs(self, room: RoomId) -> list[LogKey]:
        """The logs of honest authors that it holds something of, sorted."""
        disk = self.world.nodes[self.number].disk
        return sorted({key for key, _raw in disk.batches(room) if self.world.is_honest(key.author)})

    def linked(self) -> list[PeerId]:
        """The honest nodes that it is linked to, sorted."""
        process = self.world.nodes[self.number].process
        linked = () if process is None else process.machines.peers.linked
        return sorted(peer for peer in linked if self.world.is_honest(peer))

    def send(self, peer: PeerId, *frames: Frame) -> None:
        """Send frames over the link to this peer, where there is one."""
        process = self.world.nodes[self.number].process
        if process is None or process.paused_s is not None:
            return
        for frame in frames:
            send = Send(peer=peer, payload=encode(frame), outbound=peer in process.directs)
            self.world.network.send(process, send)

    def tell_all(self, *frames: Frame) -> None:
        """Send them over all links."""
        for peer in self.linked():
            self.send(peer, *frames)

    def repeat(self, act: Callable[[], None], *, every_s: float, from_s: float = 1.0) -> None:
        """Do something again and again for as long as there is trouble."""
        times = int((self.world.options.duration_s - from_s) / every_s)
        for index in range(times):
            self.world.at(from_s + index * every_s, act)

    def batch(
        self,
        room: RoomId,
        texts: Sequence[str],
        *,
        after: Batch | None = None,
        log: int = 1,
        ahead_ms: int = 0,
        crypto: TwinCrypto | None = None,
    ) -> Batch:
        """A batch of texts that goes on from another, stamped by a clock that is so far ahead; crypto: whose it is."""
        crypto = crypto or self.crypto
        sealed_at = hlc_of(max(1, self.wall_ms + ahead_ms)) + (0 if after is None else after.end)
        events = [encode_event(self.rng.randbytes(16), sealed_at, Kind.TEXT, text) for text in texts]
        return seal(
            room=room,
            log=log,
            first=0 if after is None else after.end,
            previous=NO_DIGEST if after is None else after.digest,
            sealed_at=sealed_at,
            events=events,
            digests=crypto.event_digests(events),
            crypto=crypto,
        )

    def record(self, contact: Contact, *, version: int, forged: bool = False) -> bytes:
        """A signed member record; `forged` is signed by the hostile node in another's name."""
        packed = pack_record(MemberRecord(contact.peer, version, (), contact.endpoints, (), more=False))
        signer = self.crypto if forged else TwinCrypto(contact.peer)
        return signer.sign(MEMBER_LABEL, self.world.mesh + packed) + packed
