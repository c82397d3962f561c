"""Addresses as people type them: names, IPv4, IPv6 with a scope, with or without an id in front."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqchat.model.addresses import Address, format_address, parse_address, parse_listen
from zmqchat.model.errors import BadAddress
from zmqchat.model.ids import PeerId, peer_text

PEER = PeerId(b"p" * 32)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localhost:8000", Address(None, "localhost", 8000)),
        (" 192.168.1.7:42100 ", Address(None, "192.168.1.7", 42100)),
        ("[fe80::1%eth0]:1", Address(None, "fe80::1%eth0", 1)),
        (f"{peer_text(PEER)}@host.example:65535", Address(PEER, "host.example", 65535)),
    ],
)
def test_an_address_is_read(text: str, expected: Address) -> None:
    """Brackets and blanks are no part of the host."""
    assert parse_address(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "host", "host:", ":80", "host:0", "host:65536", "host:-1", "host:٣", "a b:80", "fe80::1:80", "x@host:80"),
        *("h\n:80", f"{'h' * 256}:80", "host:080808", "\ud800:80x"),
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """Each raises BadAddress with what was expected."""
    with pytest.raises(BadAddress, match="expected"):
        parse_address(text)


@given(st.text(max_size=40))
def test_no_text_raises_anything_else(text: str) -> None:
    """Whatever is typed is an address or BadAddress."""
    with suppress(BadAddress):
        assert 0 < parse_address(text).port < 65536


@given(st.ip_addresses().map(str) | st.from_regex(r"[a-z][a-z0-9.-]{0,30}", fullmatch=True), st.integers(1, 65535))
def test_an_address_survives_its_text_form(host: str, port: int) -> None:
    """What `format_address` writes, `parse_address` reads back, IPv6 included."""
    assert parse_address(format_address(host, port)) == Address(None, host, port)


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        (None, (None, None)),
        ("192.0.2.1", ("192.0.2.1", None)),
        ("192.0.2.1:7000", ("192.0.2.1", 7000)),
        (":7000", (None, 7000)),
        ("*:7000", (None, 7000)),
        ("0.0.0.0:7000", (None, 7000)),
        ("[::1]:7000", ("::1", 7000)),
        ("::1", ("::1", None)),
        ("[::]:7000", (None, 7000)),
        ("localhost:7000", ("localhost", 7000)),
        ("0.0.0.0", (None, None)),
        ("[::1]", ("::1", None)),
        ("fe80::1%eth0", ("fe80::1%eth0", None)),
    ],
)
def test_addresses_to_listen_at(listen: str | None, expected: tuple[str | None, int | None]) -> None:
    """HOST, HOST:PORT, :PORT, IPv6 with and without brackets; None for all interfaces."""
    assert parse_listen(listen) == expected


@pytest.mark.parametrize(
    "listen",
    [
        *("", "host:", "host:0", "host:65536", "host:seven", "host:²"),
        *("[::1", "[::1]x", "[::1]:", "::1]", "a b", "h\n"),
    ],
)
def test_addresses_that_are_none(listen: str) -> None:
    """A port is a number from 1 to 65535, and brackets come in pairs."""
    with pytest.raises(BadAddress):
        parse_listen(listen)


@pytest.mark.parametrize("value", [None, 8000, b"host:80", ["host:80"]])
def test_an_address_that_is_no_text_is_refused(value: object) -> None:
    """The error is the one of any other wrong address."""
    with pytest.raises(BadAddress, match="is no address"):
        parse_address(value)  # type: ignore[arg-type]  # what a program without types passes
    if value is not None:
        with pytest.raises(BadAddress, match="is no address"):
            parse_listen(value)  # type: ignore[arg-type]  # see above
