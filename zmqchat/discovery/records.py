"""What one of our mDNS records says, and how it is judged. Anybody on the network can write one.

TXT holds three keys, 80 bytes in all: `v` protocol version, `id` peer id, `mesh` the first 8 bytes of the
mesh id, the latter two in base32. Everything else in a record is ignored; a record that does not parse is
dropped and counted, and nothing of it is ever shown.
"""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import secrets
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from zmqchat.discovery.discovery import SERVICE_TYPE, Announcement
from zmqchat.discovery.interfaces import Interface
from zmqchat.model.addresses import Endpoint
from zmqchat.model.errors import BadPeerId
from zmqchat.model.ids import MeshId, PeerId, parse_peer_id, peer_text
from zmqchat.model.limits import ENDPOINTS_PER_PEER_MAX

MESH_PREFIX_BYTES: Final = 8
VERSION_MAX: Final = 65_535
TXT_BYTES_MAX: Final = 512
"""Longer TXT records are not read: ours take 80 bytes, the rest is room for later keys."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a good record says: who, and where to dial, the most likely address first."""

    peer: PeerId
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class Ignored:
    """Why a record is passed over: a short fixed word, counted for `doctor`."""

    reason: str


def instance_name(peer: PeerId) -> str:
    """A name for this run's record: never read by anybody, so 4 random characters keep it unique.

    A node that was killed and comes back is a new record to everyone at once.
    """
    return f"{peer_text(peer)[:20]}{base64.b32encode(secrets.token_bytes(3)).decode()[:4].lower()}.{SERVICE_TYPE}"


def host_name(instance: str) -> str:
    """The name that the addresses of this run's record are filed under."""
    return f"zmqchat-{instance.split('.')[0]}.local."


def txt_properties(announcement: Announcement) -> dict[str, str]:
    """The three keys of TXT."""
    return {
        "v": str(announcement.version),
        "id": peer_text(announcement.peer),
        "mesh": mesh_text(announcement.mesh),
    }


def mesh_text(mesh: MeshId) -> str:
    """The first 8 bytes of a mesh id in base32."""
    return base64.b32encode(mesh[:MESH_PREFIX_BYTES]).decode("ascii").rstrip("=").lower()


def read_txt(properties: Mapping[bytes, bytes | None], mesh: MeshId) -> PeerId | Ignored:
    """The peer id of a TXT record of our mesh."""
    values: dict[bytes, bytes] = {}
    for key, value in properties.items():
        values.setdefault(key.lower(), value or b"")
    version = values.get(b"v", b"")
    if not version.isdigit() or len(version) > 5 or not 1 <= int(version) <= VERSION_MAX:
        return Ignored("version")
    if values.get(b"mesh") != mesh_text(mesh).encode("ascii"):
        return Ignored("other mesh")
    raw = values.get(b"id", b"")
    if len(raw) != 52 or not raw.isascii():
        return Ignored("peer id")
    try:
        return parse_peer_id(raw.decode("ascii"))
    except BadPeerId:
        return Ignored("peer id")


def read_endpoints(
    addresses: Iterable[str], port: int | None, interfaces: Iterable[Interface]
) -> tuple[Endpoint, ...] | Ignored:
    """The endpoints worth dialling: on a network of ours, at most ENDPOINTS_PER_PEER_MAX.

    addresses   IPv4, or IPv6 with the number of the interface that a link-local one was heard on after %
    """
    if not port or port > 65_535:
        return Ignored("port")
    used = tuple(interfaces)
    sure: list[str] = []
    guessed: list[str] = []
    for text in addresses:
        host, _, scope = text.partition("%")
        ip = ipaddress.ip_address(host)
        if ip.version == 6 and ip.is_link_local:
            name = _scope_name(scope, used)
            if name is not None:
                sure.append(f"{host}%{name}")
            else:
                # Heard over IPv4, so its scope is lost: it is on one of our links, tried last.
                guessed.extend(f"{host}%{each.name}" for each in used if _has_link_local(each))
        elif _on_our_link(ip, used):
            sure.append(host)
    sure.sort(key=lambda host: ":" in host)
    hosts = list(dict.fromkeys((*sure, *guessed)))[:ENDPOINTS_PER_PEER_MAX]
    if not hosts:
        return Ignored("off link")
    return tuple(Endpoint(host, port) for host in hosts)


def _on_our_link(ip: ipaddress.IPv4Address | ipaddress.IPv6Address, interfaces: Iterable[Interface]) -> bool:
    """Whether the address is in one of our networks: who answers for others is lying or misrouted (RFC 6762, 11)."""
    if ip.is_multicast or ip.is_unspecified:
        return False
    return any(address.holds(ip) for interface in interfaces for address in interface.addresses)


def _has_link_local(interface: Interface) -> bool:
    return any(address.is_link_local_v6 for address in interface.addresses)


def _scope_name(scope: str, interfaces: Iterable[Interface]) -> str | None:
    if not scope.isdigit() or len(scope) > 9:
        return None
    return next((each.name for each in interfaces if each.index == int(scope)), None)


def packed_addresses(hosts: Iterable[str]) -> list[bytes]:
    """Addresses as A and AAAA records hold them; a scope is of no use to others and dropped, as is a host's name."""
    packed: dict[bytes, None] = {}
    for host in hosts:
        plain = host.partition("%")[0]
        with contextlib.suppress(OSError):
            packed[socket.inet_pton(socket.AF_INET6 if ":" in plain else socket.AF_INET, plain)] = None
    return list(packed)
