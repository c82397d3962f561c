"""Where nodes are: endpoints, and the addresses that people type."""

from __future__ import annotations

from typing import NamedTuple

from zmqchat.model.errors import BadAddress, BadPeerId
from zmqchat.model.ids import PeerId, parse_peer_id

HOST_BYTES_MAX = 255


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
    """Read `HOST:PORT`, `[IPV6%SCOPE]:PORT` or either behind `PEERID@`; raises BadAddress."""
    stripped = text.strip()
    name, at, place = stripped.rpartition("@")
    host, colon, port_text = place.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise BadAddress(text, "an IPv6 address in brackets, as in [fe80::1%eth0]:42100")
    host_fits = 0 < len(host.encode(errors="replace")) <= HOST_BYTES_MAX and host.isprintable() and " " not in host
    port_fits = port_text.isascii() and port_text.isdigit() and len(port_text) <= 5 and 0 < int(port_text) < 65536
    if not colon or not host_fits or not port_fits:
        raise BadAddress(text)
    if not at:
        return Address(None, host, int(port_text))
    try:
        return Address(parse_peer_id(name), host, int(port_text))
    except BadPeerId as error:
        raise BadAddress(text) from error


def format_address(host: str, port: int) -> str:
    """The text that `parse_address` reads back, IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
