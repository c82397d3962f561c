"""Where a node can be reached: endpoints, and the addresses that people type and read."""

from __future__ import annotations

import ipaddress
from typing import Final, NamedTuple

from zmqchat.model.errors import BadAddress, BadPeerId
from zmqchat.model.ids import PeerId, parse_peer_id, peer_text

HOST_BYTES_MAX: Final = 255
"""UTF-8 bytes of a host: the longest name that DNS allows."""

PORT_MAX: Final = 65_535


class Endpoint(NamedTuple):
    """Where a node's sockets are: a host without brackets (IPv6 scope after %) and three TCP ports.

    direct and feed are 0 where only the door is known (discovery, --peer).
    """

    host: str
    door: int
    direct: int = 0
    feed: int = 0


class Address(NamedTuple):
    """What `--peer` takes: the id that must answer (None for any), a host and the door's port."""

    peer: PeerId | None
    host: str
    port: int


def parse_address(text: str) -> Address:
    """Peer id (None where not given), host and port of an address; raises BadAddress.

    HOST:PORT, [IPV6%SCOPE]:PORT or either after PEERID@. The host comes back without brackets.
    """
    given_id, at, place = text.strip().rpartition("@")
    host, colon, port_text = place.rpartition(":")
    if not colon or (at and not given_id):
        raise BadAddress(text)
    peer: PeerId | None = None
    if given_id:
        try:
            peer = parse_peer_id(given_id)
        except BadPeerId:
            raise BadAddress(text) from None
    if not (port_text.isascii() and port_text.isdecimal() and len(port_text) <= 5 and 0 < int(port_text) <= PORT_MAX):
        raise BadAddress(text, "a port from 1 to 65535 after the host")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if not _is_ip(host, version=6):
            raise BadAddress(text, "an IPv6 address in the brackets")
    elif ":" in host:
        raise BadAddress(text, "brackets around an IPv6 address, as [fe80::1%eth0]:42100")
    elif not _is_host_name(host):
        raise BadAddress(text)
    return Address(peer, host, int(port_text))


def format_address(host: str, port: int, peer: PeerId | None = None) -> str:
    """The text that `parse_address` reads back: brackets around IPv6, PEERID@ before it where one is given."""
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return place if peer is None else f"{peer_text(peer)}@{place}"


def _is_ip(host: str, *, version: int) -> bool:
    try:
        return ipaddress.ip_address(host).version == version
    except ValueError:
        return False


def _is_host_name(host: str) -> bool:
    """Whether this may be a name or an IPv4 address; only digits and dots must be a whole address."""
    if not host or len(host.encode(errors="replace")) > HOST_BYTES_MAX:
        return False
    if all(character in "0123456789." for character in host):
        return _is_ip(host, version=4)
    return all(character.isalnum() or character in "-._" for character in host)
