"""Frames that no honest node sends: what `knock`, `forge` and `replay` put before a node.

knock ann version=9                    a stranger says HELLO; as=NAME, mesh=NAME, version=N, key=NAME change it
forge bob -> ann push lobby "x"        a batch of bob's log 7; author=NAME, log=N, first=N, sealed=+1y, bad=signature
forge bob -> ann have lobby ann/a 9    bob says that he has this log below 9; holder=NAME
forge bob -> ann want lobby ann/a 0 9  bob asks for a part of a log
forge bob -> ann ihave lobby           bob announces a batch that is nowhere
forge bob -> ann graft lobby           bob asks for a batch that is nowhere
forge bob -> ann suspect cat           bob doubts that cat lives
forge bob -> ann record cat            a member record of cat that bob has signed
forge bob -> ann bytes ff00            any bytes
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.support.authors import Author
from tests.support.scenarios_words import Words
from tests.support.scenarios_world import ScenarioWorld, named_peer
from zmqchat.crypto.twin import TwinCrypto
from zmqchat.history.batch import Batch
from zmqchat.history.clock import hlc_of
from zmqchat.model.ids import RoomId, mesh_id
from zmqchat.protocol.facts import DoorCaller, DoorKnocked
from zmqchat.protocol.roster import MEMBER_LABEL
from zmqchat.wire.frames import Have, HaveEntry, Hello, Push, Want, encode
from zmqchat.wire.roster_frames import SUSPECT, Liveness, LivenessEntry, MemberRecord, Records, pack_record
from zmqchat.wire.tree_frames import Announced, Graft, IHave

_NOWHERE: Final = b"nowhere-to-find!"
_UNITS_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "y": 365 * 86_400.0}


def seconds(text: str) -> float:
    """`50ms`, `1.5s`, `2m`, `-1h`, `+1y` in seconds."""
    number = text.rstrip("msdhy")
    return float(number) * _UNITS_S[text[len(number) :]]


class Forger:
    """Makes frames for one world."""

    def __init__(self, world: ScenarioWorld, words: Words) -> None:
        self._world = world
        self._words = words
        self._authors: dict[str, Author] = {}
        self._last: dict[tuple[str, int], Batch] = {}
        self._kinds: dict[str, Callable[[str, list[str], dict[str, str]], bytes]] = {
            "push": self._push,
            "have": self._have,
            "want": self._want,
            "ihave": self._ihave,
            "graft": self._graft,
            "suspect": self._suspect,
            "record": self._record,
            "bytes": lambda _sender, given, _options: bytes.fromhex(given[0]),
        }

    def payload(self, sender: str, kind: str, given: list[str], options: dict[str, str]) -> bytes:
        """The bytes of a frame of this kind."""
        return self._kinds[kind](sender, given, options)

    def knock(self, options: dict[str, str]) -> DoorKnocked:
        """A stranger at a door."""
        name = options.get("as", "stranger")
        self._words.strangers[named_peer(name)] = name
        hello = Hello(
            versions=(int(options.get("version", "1")),),
            features=(),
            peer=named_peer(name),
            mesh=mesh_id(options.get("mesh", "simulated")),
            instance=options.get("instance", "another").encode().ljust(16, b"-"),
            store=bytes(16),
            generation=1,
            endpoints=(),
        )
        key = options.get("key", name)
        self._words.strangers[named_peer(key)] = key
        return DoorKnocked(caller=DoorCaller(b"knocking", named_peer(key), "10.9.9.9"), payload=encode(hello))

    def _room(self, name: str) -> RoomId:
        return self._world.room(name)

    def _push(self, sender: str, given: list[str], options: dict[str, str]) -> bytes:
        name, log = options.get("author", sender), int(options.get("log", "7"))
        self._words.strangers[named_peer(name)] = name
        author = self._authors.get(name)
        if author is None:
            author = self._authors[name] = Author(crypto=TwinCrypto(named_peer(name)))
            author.ticks = hlc_of(self._world.nodes[0].clock.instant(self._world.now_s).wall_ms)
        first = int(options["first"]) if "first" in options else None
        sealed_at = author.ticks + 10 + hlc_of(int(1000 * seconds(options.get("sealed", "0s"))))
        batch = author.batch(
            given[1:],
            after=self._last.get((name, log)) if first is None else None,
            log=log,
            first=first,
            sealed_at=sealed_at,
            room=self._room(given[0]),
        )
        self._last[name, log] = batch
        raw = batch.raw[:-1] + bytes([batch.raw[-1] ^ 1]) if "bad" in options else batch.raw
        return encode(Push(batch=raw))

    def _have(self, sender: str, given: list[str], options: dict[str, str]) -> bytes:
        author, log = self._words.find_log(given[1])
        entry = HaveEntry(author, log, bytes(8), int(given[2]))  # type: ignore[arg-type]  # bytes of a peer id
        holder = named_peer(options.get("holder", sender))
        return encode(Have(room=self._room(given[0]), holder=holder, entries=(entry,)))

    def _want(self, _sender: str, given: list[str], options: dict[str, str]) -> bytes:
        author, log = self._words.find_log(given[1])
        want = Want(
            request=int(options.get("request", "99")),
            room=self._room(given[0]),
            author=author,  # type: ignore[arg-type]  # bytes of a peer id
            log=log,
            branch=bytes(8),
            first=int(given[2]),
            end=int(given[3]),
            credit=int(options.get("credit", "4")),
            newest_first=False,
        )
        return encode(want)

    def _ihave(self, _sender: str, given: list[str], _options: dict[str, str]) -> bytes:
        return encode(IHave(room=self._room(given[0]), entries=(Announced(_NOWHERE, 1),)))

    def _graft(self, _sender: str, given: list[str], _options: dict[str, str]) -> bytes:
        return encode(Graft(room=self._room(given[0]), id=_NOWHERE))

    def _suspect(self, _sender: str, given: list[str], _options: dict[str, str]) -> bytes:
        process = self._world.nodes[self._world.names.index(given[0])].process
        version = 0 if process is None else process.machines.roster.signed_version
        entry = LivenessEntry(named_peer(given[0]), version, SUSPECT)
        return encode(Liveness(entries=(entry,)))

    def _record(self, sender: str, given: list[str], options: dict[str, str]) -> bytes:
        version = int(options.get("version", str(1 << 52)))
        member = MemberRecord(named_peer(given[0]), version, (), (), (), more=False)
        packed = pack_record(member)
        signature = TwinCrypto(named_peer(sender)).sign(MEMBER_LABEL, self._world.mesh + packed)
        return encode(Records(records=(signature + packed,), news=True))
