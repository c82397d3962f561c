"""Inbound connections: half-open ones are bounded, and only the right one is ever cut."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Iterator

import pytest

from zmqchat.model.limits import DOOR_STAY_S_MAX, HALF_OPEN_MAX, HALF_OPEN_PER_ADDRESS_MAX, HALF_OPEN_S_MAX
from zmqchat.net import connections as module
from zmqchat.net.connections import SLOWED_S, Connection, Connections, cut


class Wires:
    """Connected sockets, by descriptor, and which of them were cut."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0), backlog=8)
        self._ends: dict[int, tuple[socket.socket, socket.socket]] = {}

    def make(self) -> int:
        """A new connection; the descriptor that libzmq would have."""
        theirs = socket.create_connection(self._server.getsockname())
        ours, _ = self._server.accept()
        self._ends[ours.fileno()] = (ours, theirs)
        return ours.fileno()

    def replace(self, file: int) -> int:
        """Close the connection and put another one under its descriptor."""
        other = self.make()
        self.close(file)
        ours, theirs = self._ends.pop(other)
        os.dup2(other, file)
        ours.close()
        self._ends[file] = (socket.socket(fileno=file), theirs)
        return file

    def was_cut(self, file: int) -> bool:
        """Whether the other side sees the end."""
        theirs = self._ends[file][1]
        theirs.setblocking(False)
        try:
            return theirs.recv(1) == b""
        except BlockingIOError:
            return False

    def close(self, file: int) -> None:
        """Free the descriptor."""
        for end in reversed(self._ends.pop(file)):
            end.close()

    def close_all(self) -> None:
        """Free all."""
        for file in list(self._ends):
            self.close(file)
        self._server.close()


@pytest.fixture
def wires() -> Iterator[Wires]:
    """Connections that are closed at the end."""
    made = Wires()
    yield made
    made.close_all()


class Told:
    """Who came and went."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self.added: list[Connection] = []
        self.removed: list[Connection] = []

    def connections(self, *, settles: bool) -> Connections:
        """Connections that tell here."""
        return Connections(self.counters, settles=settles, added=self.added.append, removed=self.removed.append)


@pytest.fixture
def told() -> Told:
    """A fresh one."""
    return Told()


def at(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """Have all further connections come from this address of another machine."""
    monkeypatch.setattr(module, "_identify", lambda file: (os.fstat(file).st_ino, host, False))


def test_first_frame_settles_a_connection(wires: Wires, told: Told) -> None:
    """On direct and feed a valid frame ends the half-open state; at the door nothing does."""
    for settles, unsettled in ((True, 0), (False, 1)):
        connections = told.connections(settles=settles)
        file = wires.make()
        connections.accepted(file, 0.0)
        assert connections.unsettled == 1
        connection = connections.delivered(file, "1.1", 1.0)
        connections.delivered(file, "1.1", 2.0)
        assert (connection.owner, connection.frames) == ("1.1", 2)
        assert connections.unsettled == unsettled
        assert connections.owned_by("1.1") == [connection]


def test_connection_whose_event_was_lost_is_known_by_its_frame(wires: Wires, told: Told) -> None:
    """A frame from an unknown descriptor makes the connection known."""
    connections = told.connections(settles=True)
    file = wires.make()
    connection = connections.delivered(file, "1.1", 0.0)
    assert connections.of(file, 0.0) is connection
    assert told.added == [connection]


def test_reused_descriptor_is_another_connection(wires: Wires, told: Told) -> None:
    """A new connection under an old number replaces the old one, which is told as gone."""
    connections = told.connections(settles=True)
    file = wires.make()
    old = connections.delivered(file, "1.1", 0.0)
    file = wires.replace(file)
    new = connections.accepted(file, 1.0)
    assert told.removed == [old]
    assert not cut(old)
    assert not wires.was_cut(file)
    assert cut(new)
    assert wires.was_cut(file)


def test_cutting_a_closed_descriptor_is_harmless(wires: Wires) -> None:
    """A connection that is gone can't be cut, and nothing else is."""
    file = wires.make()
    connection = Connection(file, 0.0)
    wires.close(file)
    assert not connection.alive()
    assert not cut(connection)


def test_too_many_half_open_cut_the_oldest(wires: Wires, told: Told) -> None:
    """Above the bound each newcomer costs the oldest its place."""
    connections = told.connections(settles=False)
    files = [wires.make() for _ in range(HALF_OPEN_MAX + 3)]
    for file in files:
        connections.accepted(file, 0.0)
    assert [wires.was_cut(file) for file in files] == [True] * 3 + [False] * HALF_OPEN_MAX
    assert connections.unsettled == HALF_OPEN_MAX
    assert told.counters["half_open_cut"] == 3


def test_too_many_from_one_address_cut_its_oldest(wires: Wires, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another machine holds a few half-open connections; settled ones and other addresses don't count."""
    connections = told.connections(settles=True)
    at(monkeypatch, "10.0.0.2")
    settled, others = wires.make(), wires.make()
    connections.delivered(settled, "1.1", 0.0)
    at(monkeypatch, "10.0.0.1")
    connections.accepted(others, 0.0)
    at(monkeypatch, "10.0.0.2")
    files = [wires.make() for _ in range(HALF_OPEN_PER_ADDRESS_MAX + 2)]
    for file in files:
        connections.accepted(file, 0.0)
    assert [wires.was_cut(file) for file in files] == [True] * 2 + [False] * HALF_OPEN_PER_ADDRESS_MAX
    assert not wires.was_cut(settled)
    assert not wires.was_cut(others)


@pytest.mark.parametrize(("settles", "stays_s"), [(True, HALF_OPEN_S_MAX), (False, DOOR_STAY_S_MAX)])
def test_sweep_cuts_what_stays_half_open(wires: Wires, told: Told, settles: bool, stays_s: float) -> None:
    """After its time a half-open connection is cut, at the door any is."""
    connections = told.connections(settles=settles)
    file = wires.make()
    connections.accepted(file, 100.0)
    connections.sweep(100.0 + stays_s)
    assert not wires.was_cut(file)
    connections.sweep(100.1 + stays_s)
    assert wires.was_cut(file)
    assert connections.unsettled == 0


def test_sweep_forgets_what_is_gone_without_an_event(wires: Wires, told: Told) -> None:
    """A descriptor that is closed or another's is no connection any more."""
    connections = told.connections(settles=True)
    file = wires.make()
    connection = connections.delivered(file, "1.1", 0.0)
    wires.close(file)
    connections.sweep(1.0)
    assert told.removed == [connection]
    assert len(connections) == 0


def test_abuser_s_address_is_slowed_down_for_a_minute(
    wires: Wires, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most one connection a second for a while; this machine's own addresses are never slowed."""
    connections = told.connections(settles=False)
    at(monkeypatch, "10.0.0.2")
    connections.slow_down(connections.accepted(wires.make(), 0.0), 0.0)
    files = [wires.make() for _ in range(5)]
    for file, now_s in zip(files, (1.0, 1.2, 1.4, 2.5, SLOWED_S + 2.6), strict=True):
        connections.accepted(file, now_s)
    assert [wires.was_cut(file) for file in files] == [False, True, True, False, False]
    monkeypatch.undo()
    local = connections.accepted(wires.make(), 0.0)
    local.local = True
    connections.slow_down(local, 0.0)
    quick = [wires.make() for _ in range(3)]
    for file in quick:
        connections.accepted(file, 0.1)
    assert not any(wires.was_cut(file) for file in quick)
