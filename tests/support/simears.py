"""The ends of a simulated network without machines behind them: each notes what it hears, and when.

net = EarNet()
ann, ben = net.add(), net.add()
net.link(ann, ben)
net.send(ann, ben, b"hello")
net.passes(1.0)
assert ben.frames == [b"hello"]
"""

from __future__ import annotations

from random import Random
from typing import cast

from zmqchat.model.addresses import Endpoint
from zmqchat.model.ids import PeerId, RoomId
from zmqchat.protocol.effects import OpenDirect, OpenFeed, Send
from zmqchat.protocol.facts import DirectClosed, DirectOpened, Fact, FeedOpened, FeedReceived, FrameReceived
from zmqchat.sim.author import peer_of
from zmqchat.sim.conditions import Conditions, LinkQuality
from zmqchat.sim.doors import Knock
from zmqchat.sim.network import Connection, Network
from zmqchat.sim.process import Process
from zmqchat.sim.routes import PORTS
from zmqchat.sim.schedule import Schedule

EVEN = LinkQuality(latency_s=(0.01, 0.01), jitter=0.0)
"""Ten milliseconds each way, always."""

LINKED_WITHIN_S = 10.0


class Ear:
    """Stands where a process would, with what the network knows of one.

    heard  what it was told, with the simulated second of each
    """

    def __init__(self, net: EarNet, number: int) -> None:
        self.net = net
        self.number = number
        self.peer = peer_of(f"ear {number}")
        self.alive = True
        self.admitted: set[PeerId] = set()
        self.topics: frozenset[RoomId] = frozenset()
        self.knocks: dict[int, Knock] = {}
        self.directs: dict[PeerId, Connection] = {}
        self.inbound: dict[PeerId, Connection] = {}
        self.feeds: dict[PeerId, Connection] = {}
        self.dialling_directs: dict[PeerId, int] = {}
        self.dialling_feeds: dict[PeerId, int] = {}
        self.accepted: dict[Connection, None] = {}
        self.subscribers: dict[Connection, None] = {}
        self.heard: list[tuple[float, Fact]] = []

    def feed(self, fact: Fact) -> None:
        """It hears this."""
        self.heard.append((self.net.now_s, fact))

    @property
    def process(self) -> Process:
        """It, for those who take it for a process."""
        return cast(Process, self)

    @property
    def facts(self) -> list[Fact]:
        """What it was told, in order."""
        return [fact for _at_s, fact in self.heard]

    @property
    def frames(self) -> list[bytes]:
        """The frames that came over links and feeds, in order."""
        return [fact.payload for fact in self.facts if isinstance(fact, FrameReceived | FeedReceived)]

    def frames_at_s(self) -> list[float]:
        """When each of them came."""
        return [at_s for at_s, fact in self.heard if isinstance(fact, FrameReceived | FeedReceived)]

    def endpoint(self, subnet: str = "lan") -> Endpoint:
        """Where it is, in one of its subnets."""
        return Endpoint(self.net.conditions.host_in(self.number, subnet), *PORTS)


class EarNet:
    """A network of ears, all of them listening."""

    def __init__(self, seed: int = 1, quality: LinkQuality = EVEN) -> None:
        self.schedule = Schedule()
        self.conditions = Conditions(Random(f"{seed} conditions"))
        self.conditions.quality = quality
        self.network = Network(self.schedule, self.conditions, Random(f"{seed} network"))
        self.ears: list[Ear] = []

    @property
    def now_s(self) -> float:
        """The simulated second."""
        return self.schedule.now_s

    def passes(self, seconds: float) -> None:
        """Let time pass."""
        self.schedule.run_until(self.now_s + seconds)

    def add(self, *subnets: str) -> Ear:
        """One more, in these subnets; in `lan` where none is named."""
        ear = Ear(self, len(self.ears))
        self.ears.append(ear)
        self.conditions.settle(ear.number, subnets or ("lan",))
        self.network.routes.listen(ear.process)
        return ear

    def gone(self, ear: Ear, *, silent: bool = False) -> None:
        """Its process has ended; silent where its machine is off."""
        ear.alive = False
        self.network.gone(ear.process, silent=silent)

    def dial(self, dialler: Ear, listener: Ear, subnet: str = "lan") -> None:
        """Begin to open a direct link."""
        effect = OpenDirect(peer=listener.peer, endpoint=listener.endpoint(subnet))
        self.network.open_direct(dialler.process, effect)

    def link(self, dialler: Ear, listener: Ear, subnet: str = "lan") -> None:
        """Open a direct link, and wait until it is there."""
        listener.admitted.add(dialler.peer)
        self.dial(dialler, listener, subnet)
        self._wait(dialler)
        assert dialler.facts[-1] == DirectOpened(peer=listener.peer), dialler.facts[-1]

    def subscribe(self, subscriber: Ear, publisher: Ear, *rooms: RoomId) -> None:
        """Open a feed on these rooms, and wait until its owner knows."""
        publisher.admitted.add(subscriber.peer)
        subscriber.topics = frozenset(rooms)
        effect = OpenFeed(peer=publisher.peer, endpoint=publisher.endpoint())
        self.network.open_feed(subscriber.process, effect)
        self._wait(subscriber)
        assert subscriber.facts[-1] == FeedOpened(peer=publisher.peer), subscriber.facts[-1]
        self.passes(1.0)

    def _wait(self, dialler: Ear) -> None:
        heard, end_s = len(dialler.heard), self.now_s + LINKED_WITHIN_S
        while len(dialler.heard) == heard:
            assert self.now_s < end_s
            self.passes(0.01)

    def send(self, sender: Ear, receiver: Ear, *payloads: bytes) -> None:
        """Send frames over the link between two, whoever dialled it."""
        for payload in payloads:
            outbound = receiver.peer in sender.directs
            self.network.send(sender.process, Send(peer=receiver.peer, payload=payload, outbound=outbound))

    def reason(self, dialler: Ear, listener: Ear, subnet: str = "lan") -> tuple[str, float]:
        """Dial, and wait for the end of it: "" or why it came to nothing; and how long that took."""
        began_s = self.now_s
        self.dial(dialler, listener, subnet)
        self._wait(dialler)
        at_s, fact = dialler.heard[-1]
        return (fact.reason if isinstance(fact, DirectClosed) else ""), at_s - began_s
