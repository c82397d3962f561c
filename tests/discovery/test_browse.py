"""Hostile neighbours: forged records on loopback, sent by hand to a discovery that listens there."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import psutil
import pytest

from tests.support import mdns_packets as packets
from tests.support.discovering import (
    LOOPBACK,
    Recorder,
    announcement,
    needs_loopback_multicast,
    peer,
    some_mesh,
)
from zmqchat.discovery.browse import UNRESOLVED_MAX
from zmqchat.discovery.mdns import MdnsDiscovery
from zmqchat.discovery.records import mesh_text
from zmqchat.model.ids import MeshId, PeerId, peer_text
from zmqchat.model.limits import CANDIDATES_MAX

pytestmark = needs_loopback_multicast


class Victim:
    """A discovery on loopback, and who sends to it."""

    def __init__(self) -> None:
        self.mesh: MeshId = some_mesh()
        self.told = Recorder()
        self.discovery = MdnsDiscovery(self.told.callbacks(), interfaces=[LOOPBACK])
        self.sender = packets.loopback_sender()
        self._next = 100

    def strings(self, who: PeerId) -> list[bytes]:
        """The TXT strings of a good record."""
        return [b"v=1", b"id=" + peer_text(who).encode(), b"mesh=" + mesh_text(self.mesh).encode()]

    def send(self, packet: bytes) -> None:
        """Multicast on loopback."""
        packets.multicast(self.sender, packet)

    async def still_well(self) -> None:
        """A good record that is sent now is told; so what was sent before it has been read."""
        self._next += 1
        number = self._next
        for _ in range(20):
            self.send(packets.announcement(b"good%d" % number, self.strings(peer(number))))
            with contextlib.suppress(asyncio.TimeoutError):  # the socket's buffer was full: say it again
                await self.told.until_sighted(number, within_s=0.25)
                return
        raise AssertionError("a good record is not told")

    def ignored(self, reason: str) -> int:
        """How many records were passed over for it."""
        return self.discovery.statistics().ignored.get(reason, 0)


@pytest.fixture
async def victim() -> AsyncIterator[Victim]:
    """A started discovery and its forger."""
    made = Victim()
    await made.discovery.start(announcement(1, made.mesh))
    try:
        yield made
    finally:
        made.sender.close()
        await made.discovery.stop()


@pytest.fixture(autouse=True)
def _calm_loop(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No exception reaches the event loop's handler in any of these tests."""
    yield
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


@pytest.mark.parametrize(
    ("strings", "reason"),
    [
        ([], "version"),
        ([b"v=1", b"id=abcde"], "other mesh"),
        ([b"v=\xff\xfe", b"id=\xff", b"mesh=\xc3\x28"], "version"),
        ([b"v", b"id", b"mesh"], "version"),
        ([b"=", b"==", b"\x1b[2J=\x07"], "version"),
        ([b"x" * 255] * 34, "long"),
    ],
)
async def test_a_broken_txt_is_counted_and_never_told(victim: Victim, strings: list[bytes], reason: str) -> None:
    """Hostile input 39: no id, five bytes of it, invalid UTF-8, 9,000 bytes."""
    victim.send(packets.announcement(b"broken", strings))
    await victim.still_well()
    assert victim.ignored(reason) >= 1
    assert {sighted.peer for sighted in victim.told.sightings} == {peer(101)}


async def test_an_id_of_five_bytes_in_our_mesh_is_counted(victim: Victim) -> None:
    """Hostile input 39 again, in our mesh."""
    strings = [*victim.strings(peer(2))[::2], b"id=abcde"]
    victim.send(packets.announcement(b"short", strings))
    await victim.still_well()
    assert victim.ignored("peer id") == 1


@pytest.mark.parametrize(
    "label",
    [
        b"\x1b]0;owned\x07",
        b"line\nbreak",
        b"a.b..c.",
        "😀".encode() * 15,
        b"\xff\xfe\xfd",
        b"\x00",
        b" ",
        b"x" * 63,
        b"[/red]",
    ],
)
async def test_an_instance_name_of_any_bytes_is_an_opaque_key(victim: Victim, label: bytes) -> None:
    """Hostile input 39: escape codes, newlines, dots, emoji: the record counts for its TXT, its name is never told."""
    victim.send(packets.announcement(label, victim.strings(peer(2))))
    await victim.still_well()
    shown = repr(victim.told.sightings) + repr(victim.told.problems) + repr(victim.discovery.statistics())
    for marker in ("owned", "line", "😀", "red]"):
        assert marker not in shown


async def test_a_forged_goodbye_or_cache_flush_ends_nothing(victim: Victim) -> None:
    """Hostile input 40: nothing is told, and the real one's next record is told again."""
    victim.send(packets.announcement(b"real", victim.strings(peer(2))))
    await victim.told.until_sighted(2)
    victim.send(packets.announcement(b"real", victim.strings(peer(2)), ttl_s=0))
    victim.send(packets.announcement(b"real", victim.strings(peer(2)), addresses=["8.8.8.8"]))
    await victim.still_well()
    assert all(sighted.endpoint.host == LOOPBACK for sighted in victim.told.of(2))
    assert victim.told.problems == []


async def test_a_record_with_our_own_id_is_never_told(victim: Victim) -> None:
    """A forger can't make us dial "ourselves" elsewhere."""
    victim.send(packets.announcement(b"me-too", victim.strings(peer(1)), port=9))
    await victim.still_well()
    assert victim.told.of(1) == []
    assert victim.ignored("own id") == 1


async def test_addresses_off_link_are_not_told(victim: Victim) -> None:
    """A victim's address elsewhere in the world is no candidate."""
    victim.send(packets.announcement(b"far", victim.strings(peer(2)), addresses=["203.0.113.7", "2001:db8::7"]))
    await victim.still_well()
    assert victim.told.of(2) == []
    assert victim.ignored("off link") == 1


async def test_garbage_and_loops_are_survived(victim: Victim) -> None:
    """Truncated packets, compression loops, counts that lie, and random bytes change nothing."""
    whole = packets.announcement(b"cut", victim.strings(peer(2)))
    for size in range(0, len(whole), 7):
        victim.send(whole[:size])
    loop = packets.response([b"\xc0\x0c" + b"\x00\x0c\x00\x01\x00\x00\x00\x78\x00\x02\xc0\x0c"])
    victim.send(loop)
    victim.send(b"\xff" * 8_000)
    victim.send(whole[:6] + b"\xff\xff" + whole[8:])
    await victim.still_well()


async def test_pointers_without_records_wait_in_a_bounded_line(victim: Victim) -> None:
    """Names that are only named are asked for a few times at a bounded rate, and forgotten."""
    for number in range(1_000):
        pointer = packets.record(
            packets.service_name(), packets.TYPE_PTR, packets.service_name(b"only-named%d" % number)
        )
        victim.send(packets.response([pointer]))
        await asyncio.sleep(0)
    await victim.still_well()
    assert victim.ignored("unresolved") >= 1_000 - UNRESOLVED_MAX - 50
    assert victim.discovery.statistics().queries < 60


async def test_a_record_in_pieces_is_asked_for_and_told(victim: Victim) -> None:
    """A pointer alone leads to a question for the rest, and the answer to a sighting."""
    pieces = packets.announcement(b"pieces", victim.strings(peer(2)))
    with _listener() as listener:
        pointer = packets.record(packets.service_name(), packets.TYPE_PTR, packets.service_name(b"pieces"))
        victim.send(packets.response([pointer]))

        async def asked() -> None:
            while b"\x06pieces" not in await asyncio.get_running_loop().sock_recv(listener, 9_000):
                pass

        # Our own packet is heard too, so the question is the second with this name.
        await asyncio.wait_for(asked(), 5)
        await asyncio.wait_for(asked(), 5)
    victim.send(pieces)
    await victim.told.until_sighted(2)


@pytest.mark.parametrize("junk", [b"", b"x" * 200])
async def test_thousands_of_fake_services_stay_within_bounds(victim: Victim, junk: bytes) -> None:
    """Hostile input 38, a tenth of it: bounded candidates and memory, and the next honest node is found."""
    process = psutil.Process()
    before = process.memory_info().rss
    for number in range(5_000):
        address = f"127.{number % 200}.{number // 200}.1"
        strings = [*victim.strings(peer(number + 10_000)), b"junk=" + junk]
        victim.send(packets.announcement(b"fake%d" % number, strings, port=1_024 + number, addresses=[address]))
        await asyncio.sleep(0)  # the loop reads a packet a round, and the socket's buffer holds a few dozen
    await victim.still_well()
    assert CANDIDATES_MAX // 2 <= victim.discovery.statistics().candidates <= CANDIDATES_MAX
    assert process.memory_info().rss - before < 40 * 2**20


async def test_other_services_leave_nothing_in_the_cache(victim: Victim) -> None:
    """A network full of printers costs nothing."""
    for number in range(200):
        owner = packets.name(b"printer%d" % number, b"_ipp", b"_tcp", b"local")
        victim.send(packets.response([packets.record(owner, packets.TYPE_TXT, packets.txt(b"y" * 200))]))
        await asyncio.sleep(0)
    await victim.still_well()
    assert victim.discovery._zeroconf is not None
    assert not any("printer" in name for name in victim.discovery._zeroconf.zeroconf.cache.names())


def _listener() -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.setblocking(False)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "SO_REUSEPORT"):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("", packets.PORT))
    group = socket.inet_aton(packets.GROUP) + socket.inet_aton(LOOPBACK)
    listener.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
    return listener
