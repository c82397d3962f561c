"""mDNS packets by hand: what an honest library would refuse to write, a hostile neighbour sends."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable

GROUP = "224.0.0.251"
PORT = 5353
SERVICE = "_zmqchat._tcp.local."
TYPE_A, TYPE_PTR, TYPE_TXT, TYPE_AAAA, TYPE_SRV = 1, 12, 16, 28, 33
CACHE_FLUSH = 0x8000


def name(*labels: bytes) -> bytes:
    """A name from raw labels, which may hold anything."""
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def service_name(*front: bytes) -> bytes:
    """A name under our service type."""
    return name(*front, b"_zmqchat", b"_tcp", b"local")


def record(owner: bytes, kind: int, data: bytes, *, ttl_s: int = 4500, flush: bool = False) -> bytes:
    """One resource record."""
    return owner + struct.pack(">HHIH", kind, 1 | (CACHE_FLUSH if flush else 0), ttl_s, len(data)) + data


def response(records: Iterable[bytes]) -> bytes:
    """A packet of answers."""
    held = list(records)
    return struct.pack(">6H", 0, 0x8400, 0, len(held), 0, 0) + b"".join(held)


def txt(*strings: bytes) -> bytes:
    """The data of a TXT record."""
    return b"".join(bytes([len(each)]) + each for each in strings) or b"\0"


def announcement(
    label: bytes,
    strings: Iterable[bytes],
    *,
    port: int = 42_100,
    addresses: Iterable[str] = ("127.0.0.1",),
    ttl_s: int = 4500,
) -> bytes:
    """All that a node announces, under an instance label of any bytes."""
    instance = service_name(label)
    host = name(b"h" + label[:40].hex().encode()[:40], b"local")
    records = [
        record(service_name(), TYPE_PTR, instance, ttl_s=ttl_s),
        record(instance, TYPE_SRV, struct.pack(">HHH", 0, 0, port) + host, ttl_s=ttl_s, flush=True),
        record(instance, TYPE_TXT, txt(*strings), ttl_s=ttl_s, flush=True),
    ]
    for address in addresses:
        is_v6 = ":" in address
        packed = socket.inet_pton(socket.AF_INET6 if is_v6 else socket.AF_INET, address)
        records.append(record(host, TYPE_AAAA if is_v6 else TYPE_A, packed, ttl_s=ttl_s, flush=True))
    return response(records)


def loopback_sender() -> socket.socket:
    """A socket whose multicast leaves by the loopback interface only."""
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
    return sender


def multicast(sender: socket.socket, packet: bytes) -> None:
    """Send it to everybody who listens on the sender's interface."""
    sender.sendto(packet, (GROUP, PORT))
