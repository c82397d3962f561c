"""Does multicast work here? One packet from each address, listened for by ourselves; and what to do if not.

The packet is an mDNS question for a name that nobody has, so it disturbs no one. That it comes back says that
this machine sends and receives multicast on that interface (route, firewall, permission); whether the network
carries it to others, only the other machine can say.
"""

from __future__ import annotations

import asyncio
import errno
import secrets
import socket
import struct
import sys
from collections.abc import Iterable
from typing import Final

from zmqchat.discovery.discovery import SERVICE_TYPE, MulticastProbe
from zmqchat.discovery.interfaces import Address, Interface

GROUP_V4: Final = "224.0.0.251"
GROUP_V6: Final = "ff02::fb"
PORT: Final = 5353
PROBE_S: Final = 1.0
BY_HAND: Final = "meanwhile use --peer HOST:PORT"


async def probe_multicast(interfaces: Iterable[Interface], wait_s: float = PROBE_S) -> tuple[MulticastProbe, ...]:
    """One result for the first IPv4 and the first IPv6 address of each interface, all tried at once."""
    tries = []
    for interface in interfaces:
        for is_v6 in (False, True):
            address = next((each for each in interface.addresses if each.is_v6 is is_v6), None)
            if address is not None and not (is_v6 and interface.loopback):
                tries.append(_probe(interface, address, wait_s))
    return tuple(await asyncio.gather(*tries))


async def _probe(interface: Interface, address: Address, wait_s: float) -> MulticastProbe:
    token = f"probe-{secrets.token_hex(8)}"
    sent = heard = False
    problem = None
    listener = None
    try:
        listener = _open(interface, address)
        _send(listener, interface, address, _question(token))
        sent = True
        await asyncio.wait_for(_hear(listener, token.encode("ascii")), wait_s)
        heard = True
    except asyncio.TimeoutError:
        problem = (
            f"multicast sent on {interface.name} ({address.ip}) is not heard back: let the firewall pass UDP "
            f"port {PORT} in and out; {BY_HAND}"
        )
    except OSError as error:
        problem = advice(error, f"{interface.name} ({address.ip})")
    finally:
        if listener is not None:
            listener.close()
    return MulticastProbe(interface=interface.name, address=address.ip, sent=sent, heard=heard, problem=problem)


def advice(error: OSError, where: str) -> str:
    """One line for why multicast DNS can't work, and the thing to do."""
    said = error.strerror or str(error)
    if error.errno in (errno.EADDRINUSE, errno.EACCES):
        todo = f"another program holds UDP port {PORT} for itself: stop it or let it share the port"
    elif error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH) and sys.platform == "darwin":
        todo = "allow this terminal Local Network access in System Settings, Privacy & Security"
    elif error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL):
        todo = "give the interface a multicast route (ip route add 224.0.0.0/4 dev INTERFACE)"
    elif error.errno == errno.EPERM:
        todo = f"a firewall forbids it: let UDP port {PORT} out and in"
    else:
        todo = "this system or container does not offer it"
    return f"no multicast on {where}: {said}; {todo}; {BY_HAND}"


def _open(interface: Interface, address: Address) -> socket.socket:
    opened = socket.socket(socket.AF_INET6 if address.is_v6 else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        opened.bind(("", PORT))
        if address.is_v6:
            group = socket.inet_pton(socket.AF_INET6, GROUP_V6) + struct.pack("@I", interface.index)
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, interface.index)
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 1)
        else:
            group = socket.inet_aton(GROUP_V4) + socket.inet_aton(address.ip)
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address.ip))
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
    except OSError:
        opened.close()
        raise
    return opened


def _send(opened: socket.socket, interface: Interface, address: Address, packet: bytes) -> None:
    if address.is_v6:
        opened.sendto(packet, (GROUP_V6, PORT, 0, interface.index))
    else:
        opened.sendto(packet, (GROUP_V4, PORT))


async def _hear(opened: socket.socket, token: bytes) -> None:
    loop = asyncio.get_running_loop()
    while token not in await loop.sock_recv(opened, 9_000):
        pass


def _question(label: str) -> bytes:
    """An mDNS question for the pointers of a name under our service type."""
    labels = [label, *SERVICE_TYPE.rstrip(".").split(".")]
    name = b"".join(bytes([len(each)]) + each.encode("ascii") for each in labels) + b"\0"
    return struct.pack(">6H", 0, 0, 1, 0, 0, 0) + name + struct.pack(">2H", 12, 1)
