"""Reading records that anybody may have written: a value or a counted reason, never an exception."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.discovering import announcement, peer
from zmqchat.discovery.interfaces import Address, Interface
from zmqchat.discovery.records import (
    Ignored,
    host_name,
    instance_name,
    mesh_text,
    packed_addresses,
    read_endpoints,
    read_txt,
    txt_properties,
)
from zmqchat.model.addresses import Endpoint
from zmqchat.model.ids import mesh_id, peer_text

MESH = mesh_id("records")
GOOD = {key.encode(): value.encode() for key, value in txt_properties(announcement(1, MESH)).items()}
WIRED = Interface(
    name="eth0",
    index=3,
    loopback=False,
    addresses=(Address("192.168.1.5", 24), Address("2001:db8::5", 64), Address("fe80::5", 64)),
)
RADIO = Interface(name="wlan0", index=7, loopback=False, addresses=(Address("10.0.0.5", 8), Address("fe80::6", 64)))
LOOPBACK = Interface(name="lo", index=1, loopback=True, addresses=(Address("127.0.0.1", 8),))


def test_what_is_announced_is_read_back() -> None:
    """Our own TXT gives our id, in at most 80 bytes."""
    assert read_txt(GOOD, MESH) == peer(1)
    assert sum(len(key) + 1 + len(value) + 1 for key, value in GOOD.items()) <= 80


def test_keys_are_read_in_any_case_and_others_ignored() -> None:
    """TXT keys are case-insensitive, the first of a kind counts, and later versions may add keys."""
    shouted: dict[bytes, bytes | None] = {key.upper(): value for key, value in GOOD.items()}
    assert read_txt({**shouted, b"id": b"second", b"new": None}, MESH) == peer(1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({b"id": None}, "peer id"),
        ({b"id": b""}, "peer id"),
        ({b"id": b"abcde"}, "peer id"),
        ({b"id": b"\xff" * 52}, "peer id"),
        ({b"id": b"1" * 52}, "peer id"),
        ({b"id": b"a" * 9000}, "peer id"),
        ({b"id": peer_text(peer(1)).encode() + b"\x1b[2J"}, "peer id"),
        ({b"id": b"7" * 51 + b"a"}, "peer id"),
        ({b"v": None}, "version"),
        ({b"v": b"0"}, "version"),
        ({b"v": b"-1"}, "version"),
        ({b"v": b"99999999999999999999999"}, "version"),
        ({b"v": "١".encode()}, "version"),
        ({b"mesh": None}, "other mesh"),
        ({b"mesh": b"\xff\xfe"}, "other mesh"),
        ({b"mesh": mesh_text(mesh_id("another")).encode()}, "other mesh"),
    ],
)
def test_a_bad_txt_is_ignored_for_a_reason(change: dict[bytes, bytes | None], reason: str) -> None:
    """Each broken key has its outcome; the top bit of an id set is one of them."""
    properties: dict[bytes, bytes | None] = {**GOOD, **change}
    assert read_txt(properties, MESH) == Ignored(reason)


@given(st.dictionaries(st.sampled_from([b"v", b"id", b"mesh", b"ID"]) | st.binary(), st.none() | st.binary()))
def test_any_txt_is_read_without_an_exception(properties: dict[bytes, bytes | None]) -> None:
    """Random TXT gives a reason."""
    assert isinstance(read_txt(properties, MESH), Ignored)


def test_addresses_on_our_links_are_kept_ipv4_first() -> None:
    """What is in a network of ours is dialled, with the scope of the link it was heard on."""
    heard = ["fe80::9%7", "2001:db8::9", "192.168.1.9", "10.1.2.3"]
    assert read_endpoints(heard, 42_100, [WIRED, RADIO]) == (
        Endpoint("192.168.1.9", 42_100),
        Endpoint("10.1.2.3", 42_100),
        Endpoint("fe80::9%wlan0", 42_100),
        Endpoint("2001:db8::9", 42_100),
    )


def test_a_link_local_address_without_scope_is_tried_on_every_link_last() -> None:
    """The scope is lost where the record came over IPv4, or is a number of no interface of ours."""
    wanted = (Endpoint("192.168.1.9", 1), Endpoint("fe80::9%eth0", 1), Endpoint("fe80::9%wlan0", 1))
    for heard in ("fe80::9", "fe80::9%0", "fe80::9%99", "fe80::9%99999999999"):
        assert read_endpoints([heard, "192.168.1.9"], 1, [WIRED, RADIO]) == wanted


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "0.0.0.0", "224.0.0.251", "127.0.0.1", "::1", "::", "ff02::fb", "2001:db8:1::1"]
)
def test_addresses_off_our_links_are_ignored(address: str) -> None:
    """A record can't make us dial a victim elsewhere, ourselves, or a group."""
    assert read_endpoints([address], 42_100, [WIRED, RADIO]) == Ignored("off link")


def test_loopback_is_dialled_only_where_loopback_is_used() -> None:
    """With `--interface lo` it is one of our links."""
    assert read_endpoints(["127.0.0.1"], 5, [LOOPBACK]) == (Endpoint("127.0.0.1", 5),)


def test_at_most_eight_endpoints_of_a_thousand_are_kept() -> None:
    """Each costs a dial."""
    kept = read_endpoints([f"10.0.{n // 250}.{n % 250 + 1}" for n in range(1000)], 5, [RADIO])
    assert isinstance(kept, tuple) and len(kept) == 8


@pytest.mark.parametrize("port", [None, 0, 65_536])
def test_a_port_that_is_none_is_ignored(port: int | None) -> None:
    """Nothing to dial."""
    assert read_endpoints(["10.0.0.9"], port, [RADIO]) == Ignored("port")


@given(st.lists(st.ip_addresses(v=4) | st.ip_addresses(v=6)), st.integers(0, 70_000))
def test_any_addresses_are_read_without_an_exception(
    addresses: list[ipaddress.IPv4Address | ipaddress.IPv6Address], port: int
) -> None:
    """Any list of addresses gives at most eight endpoints, or a reason."""
    read = read_endpoints([str(address) for address in addresses], port, [WIRED, RADIO])
    assert isinstance(read, Ignored) or 1 <= len(read) <= 8


def test_names_fit_dns_and_differ_from_run_to_run() -> None:
    """Labels are at most 63 bytes of plain characters; a restart is a new name."""
    names = {instance_name(peer(1)) for _ in range(20)}
    assert len(names) > 1
    for name in names:
        label = name.split(".")[0]
        assert label.isalnum() and len(label) == 24
        assert len(host_name(name).split(".")[0]) <= 63


def test_announced_addresses_lose_their_scope_and_doubles() -> None:
    """Our scope means nothing to others; a host's name has no place in an address record."""
    assert packed_addresses(["10.0.0.1", "localhost", "fe80::1%eth0", "fe80::1%eth1"]) == [
        bytes([10, 0, 0, 1]),
        bytes.fromhex("fe80" + "0" * 27 + "1"),
    ]
