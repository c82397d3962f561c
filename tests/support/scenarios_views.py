"""What a scenario can look at without changing anything: commands whose trace is what somebody sees."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from tests.support.scenarios_words import Words
from tests.support.scenarios_world import ScenarioWorld
from zmqchat.model.ids import PeerId
from zmqchat.protocol.assembly import Machines

View = Callable[[ScenarioWorld, Words, list[str]], list[str]]


def _machines(world: ScenarioWorld, name: str) -> Machines:
    process = world.nodes[world.names.index(name)].process
    if process is None:
        raise LookupError(f"{name} does not run")
    return process.machines


def _names(words: Words, peers: Iterable[PeerId]) -> str:
    return " ".join(sorted(map(words.peer, peers))) or "nobody"


def _timeline(world: ScenarioWorld, _words: Words, given: list[str]) -> list[str]:
    """`timeline ann lobby`: the texts of the room on ann's disk, in order."""
    said = world.timeline(world.names.index(given[0]), given[1])
    return [" ".join(f"{text.text!r}" for text in said) or "nothing"]


def _links(world: ScenarioWorld, words: Words, given: list[str]) -> list[str]:
    """`links ann`: whom ann is linked to."""
    return [_names(words, _machines(world, given[0]).peers.linked)]


def _online(world: ScenarioWorld, words: Words, given: list[str]) -> list[str]:
    """`online ann`: whom ann shows as online."""
    presence = _machines(world, given[0]).presence
    return [_names(words, (node.peer for node in world.nodes if presence.is_online(node.peer)))]


def _neighbours(world: ScenarioWorld, words: Words, given: list[str]) -> list[str]:
    """`neighbours ann`: her neighbours in the overlay, or that the mesh is full."""
    overlay = _machines(world, given[0]).overlay
    return [_names(words, overlay.neighbours) if overlay.is_partial else "full mesh"]


def _members(world: ScenarioWorld, words: Words, given: list[str]) -> list[str]:
    """`members ann lobby`: who is in the room as ann knows it, and by which names."""
    book = _machines(world, given[0]).data.membership.book(world.room(given[1]))
    shown = []
    for peer in book.members():
        names = book[peer].names
        shown.append(f"{words.peer(peer)}={names[-1].name}" if names else words.peer(peer))
    return [" ".join(shown) or "nobody"]


def _receipt(world: ScenarioWorld, words: Words, given: list[str]) -> list[str]:
    """`receipt ann lobby`: who has ann's last message."""
    machines, room = _machines(world, given[0]), world.room(given[1])
    me = world.nodes[world.names.index(given[0])].peer
    own = machines.data.ledger.rooms[room].frontier.of_author(me)
    if not own:
        return ["nothing was said"]
    key, log = own[-1]
    state = machines.data.receipts.state(room, key.log, log.end - 1)
    return [
        f"held by {_names(words, state.held)}; missing at {_names(words, state.pending)}; "
        f"read by {_names(words, state.read)}"
    ]


def _faults(world: ScenarioWorld, _words: Words, given: list[str]) -> list[str]:
    """`faults ann`: what others did wrong, as ann counted it."""
    counts = _machines(world, given[0]).faults.counts
    return [" ".join(f"{reason}={count}" for reason, count in sorted(counts.items())) or "none"]


VIEWS: Final[dict[str, View]] = {
    "timeline": _timeline,
    "links": _links,
    "online": _online,
    "neighbours": _neighbours,
    "members": _members,
    "receipt": _receipt,
    "faults": _faults,
}
