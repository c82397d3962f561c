"""Which addresses a peer may tell: real ones, and the loopback only where it was reached over it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqchat.model.addresses import Endpoint
from zmqchat.protocol.addressbook import is_loopback, is_usable


@pytest.mark.parametrize(
    ("host", "usable", "over_loopback"),
    [
        ("192.168.1.7", True, True),
        ("8.8.8.8", True, True),
        ("fe80::1%eth0", True, True),
        ("2001:db8::1", True, True),
        ("::ffff:192.168.1.7", True, True),
        ("127.0.0.1", False, True),
        ("127.9.9.9", False, True),
        ("::1", False, True),
        ("::ffff:127.0.0.1", False, True),
        ("224.0.0.251", False, False),
        ("ff02::fb", False, False),
        ("::ffff:224.0.0.1", False, False),
        ("0.0.0.0", False, False),
        ("::", False, False),
        ("255.255.255.255", False, False),
        ("240.0.0.1", False, False),
        ("", False, False),
        ("localhost", False, False),
        ("example.org", False, False),
        ("10.0.0.1 ", False, False),
        ("fe80::1%" + "x" * 200, False, False),
        ("fe80::1%eth0\n", False, False),
        ("fe80::1%\x1b[2J", False, False),
        ("10.0.0.256", False, False),
    ],
)
def test_what_a_peer_may_tell(host: str, usable: bool, over_loopback: bool) -> None:
    """Unicast addresses, loopback only from a peer reached over the loopback; no names, nothing odd."""
    assert is_usable(Endpoint(host, 42100), loopback=False) is usable
    assert is_usable(Endpoint(host, 42100), loopback=True) is over_loopback


@pytest.mark.parametrize(("port", "usable"), [(0, False), (1, True), (65535, True), (65536, False)])
def test_a_door_has_a_real_port(port: int, usable: bool) -> None:
    """Port 0 is none."""
    assert is_usable(Endpoint("10.0.0.1", port), loopback=False) is usable


@given(st.text(max_size=60), st.integers(0, 65535))
def test_any_host_is_usable_or_not(host: str, port: int) -> None:
    """Whatever a peer tells as a host raises nothing."""
    is_usable(Endpoint(host, port), loopback=True)
    is_loopback(host)


def test_the_loopback_by_name_and_address() -> None:
    """localhost, 127/8 and ::1 are the loopback, mapped or not; a name that resolves to it is not looked up."""
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1")))
    assert not any(map(is_loopback, ("10.0.0.1", "fe80::1%lo", "home.example", "")))
