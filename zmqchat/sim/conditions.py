"""What a simulated network is like: who can reach whom, how long that takes, and what gets lost.

Places. Every node has an address in each subnet that it is in. A dial reaches an address of a shared subnet,
unless hosts are isolated there (then only the gateway reaches and is reached), and an address of another
subnet where both are routed; a subnet behind a translator (NAT) can dial out and cannot be dialled. What
can't be reached is refused or never answered, as the subnet is.

Trouble. Nodes of different groups of a partition, and pairs that are cut (in one direction or both), get nothing
through. Loss holds up a connection, since TCP sends again; only feeds lose frames (at their high-water marks).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

RESEND_S: Final = 0.2
"""TCP's first wait before it sends again; it doubles."""

RESENDS_MAX: Final = 6
PACKET_BYTES: Final = 1_400


@dataclass(slots=True, kw_only=True)
class Subnet:
    """A part of the network with multicast of its own.

    routed     its hosts reach, and are reached from, all other routed subnets
    nat        its hosts dial out (to routed subnets), and nobody dials in
    gateway    where hosts are isolated: the only node that the others reach
    rejects    whether dials that lead nowhere are refused at once, rather than never answered
    """

    name: str
    routed: bool = False
    nat: bool = False
    gateway: int | None = None
    rejects: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkQuality:
    """How frames travel between two nodes.

    latency_s   one way, (least, most): drawn a connection
    jitter      the part of it that varies from frame to frame
    loss        of a packet of PACKET_BYTES
    feed_loss   of a frame on a feed
    feed_double of a frame on a feed
    """

    latency_s: tuple[float, float] = (0.0002, 0.001)
    jitter: float = 0.5
    loss: float = 0.0
    feed_loss: float = 0.0
    feed_double: float = 0.0


class Conditions:
    """The state of the network; nodes are known by number.

    quality       of all links that have none of their own
    bandwidth_bytes_s  what a node can send a second, None without a bound; `bandwidths` for single nodes
    inward_bytes_s     what can come to single nodes a second: one line, on which all that they are sent queues
    """

    def __init__(self, rng: Random) -> None:
        self.quality = LinkQuality()
        self.bandwidth_bytes_s: float | None = None
        self.bandwidths: dict[int, float] = {}
        self.inward_bytes_s: dict[int, float] = {}
        self.subnets: dict[str, Subnet] = {}
        self._rng = rng
        self._places: dict[int, dict[str, str]] = {}
        self._hosts: dict[str, tuple[int, str]] = {}
        self._qualities: dict[tuple[int, int], LinkQuality] = {}
        self._groups: dict[int, int] = {}
        self._cuts: set[tuple[int, int]] = set()

    # Places ------------------------------------------------------------------------------------------

    def settle(self, node: int, subnets: Sequence[str]) -> tuple[str, ...]:
        """Give a node its address in each of these subnets, made where they are new."""
        for name in subnets:
            self.subnets.setdefault(name, Subnet(name=name))
            index = list(self.subnets).index(name) + 1
            host = f"10.{index}.{node // 250}.{node % 250 + 1}"
            self._places.setdefault(node, {})[name] = host
            self._hosts[host] = (node, name)
        return tuple(self._places[node].values())

    def hosts(self, node: int) -> tuple[str, ...]:
        """A node's addresses."""
        return tuple(self._places[node].values())

    def host_in(self, node: int, name: str) -> str:
        """A node's address in one of its subnets."""
        return self._places[node][name]

    def in_subnet(self, name: str) -> list[int]:
        """The nodes of a subnet, rising."""
        return [node for node, places in self._places.items() if name in places]

    def subnets_of(self, node: int) -> tuple[str, ...]:
        """The subnets of a node."""
        return tuple(self._places[node])

    def find(self, dialler: int, host: str) -> tuple[int | None, str]:
        """Which node answers a dial to this address; and by which address of the dialler, or the reason why none."""
        target, name = self._hosts.get(host, (None, ""))
        if target is None:
            return None, "timeout"
        subnet = self.subnets[name]
        ours = self._places[dialler]
        if name in ours:
            if subnet.gateway is None or subnet.gateway in (dialler, target):
                return target, ours[name]
            return None, "refused" if subnet.rejects else "timeout"
        if subnet.routed and not subnet.nat:
            for own, own_host in ours.items():
                if self.subnets[own].routed:
                    return target, own_host
        return None, "refused" if subnet.rejects else "timeout"

    def hears(self, listener: int, speaker: int, name: str) -> bool:
        """Whether a multicast of one node in this subnet reaches the other."""
        gateway = self.subnets[name].gateway
        return (gateway is None or gateway in (listener, speaker)) and self.passes(speaker, listener)

    # Trouble -----------------------------------------------------------------------------------------

    def partition(self, groups: Sequence[Iterable[int]]) -> None:
        """Let nothing pass between these groups; nodes of none are a group together."""
        self._groups = {node: number for number, group in enumerate(groups, start=1) for node in group}

    def cut(self, sender: int, receiver: int, *, one_way: bool = False) -> None:
        """Let nothing pass from one node to the other, nor back unless one_way."""
        self._cuts.add((sender, receiver))
        if not one_way:
            self._cuts.add((receiver, sender))

    def mend(self, one: int, other: int) -> None:
        """Undo a cut, in both directions."""
        self._cuts -= {(one, other), (other, one)}

    def heal(self) -> None:
        """No partition and no cut any more."""
        self._groups = {}
        self._cuts = set()

    def passes(self, sender: int, receiver: int) -> bool:
        """Whether a packet gets through at this moment."""
        if self._cuts and (sender, receiver) in self._cuts:
            return False
        groups = self._groups
        return not groups or groups.get(sender, 0) == groups.get(receiver, 0)

    def set_link(self, one: int, other: int, quality: LinkQuality | None) -> None:
        """How frames travel between these two, in both directions; None: as between all."""
        for pair in ((one, other), (other, one)):
            if quality is None:
                self._qualities.pop(pair, None)
            else:
                self._qualities[pair] = quality

    @property
    def is_whole(self) -> bool:
        """Whether there is no trouble: good links between all."""
        usual = self.quality == LinkQuality() and self.bandwidth_bytes_s is None
        thin = self.bandwidths or self.inward_bytes_s
        return usual and not (self._groups or self._cuts or self._qualities or thin)

    def reset(self) -> None:
        """Good links everywhere, and no bound to what a node sends."""
        self.heal()
        self._qualities = {}
        self.quality = LinkQuality()
        self.bandwidth_bytes_s = None
        self.bandwidths = {}
        self.inward_bytes_s = {}

    # How long it takes --------------------------------------------------------------------------------

    def between(self, sender: int, receiver: int) -> LinkQuality:
        """How frames travel between two nodes."""
        return self._qualities.get((sender, receiver), self.quality) if self._qualities else self.quality

    def draw_latency_s(self, sender: int, receiver: int) -> float:
        """One way, for a new connection."""
        low_s, high_s = self.between(sender, receiver).latency_s
        return low_s + (high_s - low_s) * self._rng.random()

    def delay_s(self, quality: LinkQuality, latency_s: float, size_bytes: int) -> float:
        """How long a frame of this size is on its way over a connection of this latency."""
        rng = self._rng
        delay_s = latency_s * (1.0 + quality.jitter * rng.random())
        if quality.loss:
            lost = min(0.9, quality.loss * (1 + size_bytes // PACKET_BYTES))
            wait_s = RESEND_S
            for _ in range(RESENDS_MAX):
                if rng.random() >= lost:
                    break
                delay_s += wait_s
                wait_s *= 2
        return delay_s

    @property
    def is_shaped(self) -> bool:
        """Whether what any node can send a second is bounded."""
        return self.bandwidth_bytes_s is not None or bool(self.bandwidths)

    def send_s(self, node: int, size_bytes: int) -> float:
        """How long a node needs to get a frame of this size out."""
        bandwidth = self.bandwidths.get(node, self.bandwidth_bytes_s) if self.bandwidths else self.bandwidth_bytes_s
        return size_bytes / bandwidth if bandwidth else 0.0

    def receive_s(self, node: int, size_bytes: int) -> float:
        """How long a frame of this size takes over the line to a node."""
        bandwidth = self.inward_bytes_s.get(node) if self.inward_bytes_s else None
        return size_bytes / bandwidth if bandwidth else 0.0
