"""Where nodes are: endpoints, and the addresses that people type."""

from __future__ import annotations

from typing import NamedTuple

from zmqchat.model.errors import BadAddress, BadPeerId
from zmqchat.model.ids import PeerId, parse_peer_id

HOST_BYTES_MAX = 255
_LISTEN = "HOST or HOST:PORT of this machine"
_ANY = ("", "*", "0.0.0.0", "::")


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
    if not isinstance(text, str):
        raise BadAddress(str(text))
    stripped = text.strip()
    name, at, place = stripped.rpartition("@")
    host, colon, port_text = place.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise BadAddress(text, "an IPv6 address in brackets, as in [fe80::1%eth0]:42100")
    host_fits = 0 < len(host.encode(errors="replace")) <= HOST_BYTES_MAX and host.isprintable() and " " not in host
    if not colon or not host_fits or not _is_port(port_text):
        raise BadAddress(text)
    if not at:
        return Address(None, host, int(port_text))
    try:
        return Address(parse_peer_id(name), host, int(port_text))
    except BadPeerId as error:
        raise BadAddress(text) from error


def parse_listen(text: str | None) -> tuple[str | None, int | None]:
    """Read what a node is to listen at: HOST, HOST:PORT, :PORT or [IPV6]:PORT, None where any will do.

    Raises BadAddress.
    """
    if text is None:
        return None, None
    if not isinstance(text, str) or not text:  # an empty one is a variable that was not set
        raise BadAddress(str(text), _LISTEN)
    host, port_text, rest = text, None, ""
    if text.startswith("["):
        host, closing, rest = text[1:].partition("]")
        rest = rest if closing else "unclosed"
    elif text.count(":") == 1:  # with more it is IPv6 without brackets, and has no port
        host, rest = text[: text.index(":")], text[text.index(":") :]
    if rest.startswith(":"):
        port_text, rest = rest[1:], ""
    is_host = host.isprintable() and not set("[] ") & set(host) and len(host) <= HOST_BYTES_MAX
    if rest or not is_host or not (port_text is None or _is_port(port_text)):
        raise BadAddress(text, _LISTEN)
    return (None if host in _ANY else host), (None if port_text is None else int(port_text))


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536


def format_address(host: str, port: int) -> str:
    """The text that `parse_address` reads back, IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
