"""Plays real conversations from several nodes that are killed as they go, and checks that all end with the same.

    python replay.py [--part N] [--nodes N] [--kills N] [--seed N]

It needs the packages chatterbot-corpus and PyYAML: 28 languages, a room each. The nodes take turns in a room: who
speaks next does so when it has read all that comes before, so the timeline that every store must end with is the
script itself, line by line. Every so often a node is killed (SIGKILL) and started again on its home; it looks up in
its own store how far its rooms have come, and goes on from there.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import importlib.resources
import itertools
import multiprocessing
import random
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from zmqchat import Node

DOWN_S = 0.5
"""How long a killed node stays away."""

STALLED_S = 60.0
"""Without a single acknowledgement for so long, something is broken."""

START_TIMEOUT_S = 30.0


class Line(NamedTuple):
    """Who says what."""

    speaker: str
    text: str


class Heard(NamedTuple):
    """A message as a store gives it."""

    message: str
    speaker: str
    text: str | None


Script = dict[str, list[Line]]
Timelines = dict[str, list[Heard]]


# The script -------------------------------------------------------------------------------------------------


def read_script(speakers: list[str], part: int | None) -> Script:
    """A room a language; within a conversation the speakers take turns."""
    data = Path(str(importlib.resources.files("chatterbot_corpus"))) / "data"
    script: Script = {}
    for folder in sorted(path for path in data.iterdir() if path.is_dir()):
        lines = []
        for number, conversation in enumerate(itertools.islice(conversations(folder), part)):
            lines += [Line(speakers[(number + turn) % len(speakers)], text) for turn, text in enumerate(conversation)]
        if lines:
            script[folder.name] = lines
    return script


def conversations(folder: Path) -> Iterator[list[str]]:
    """The conversations of a language, each a list of texts; blank ones, which nobody can say, left out."""
    for file in sorted(folder.glob("*.yml")):
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        for conversation in content.get("conversations") or ():
            texts = conversation if isinstance(conversation, list) else [conversation]
            yield [str(text) for text in texts if text is not None and str(text).strip()]


# A node, in a process of its own ----------------------------------------------------------------------------


def perform(pipe: Connection, name: str, home: str, mesh: str, peers: list[str], script: Script) -> None:
    """The process of one node: plays its lines, tells each that is acknowledged, answers questions at the end."""
    try:
        asyncio.run(Performer(pipe, name, script).run(home, mesh, peers))
    except (KeyboardInterrupt, EOFError, BrokenPipeError):
        sys.exit(1)  # whoever directs the play is gone


class Performer:
    """One node that plays its lines in all rooms at once."""

    def __init__(self, pipe: Connection, name: str, script: Script) -> None:
        self._pipe = pipe
        self._name = name
        self._script = script
        self._seen: dict[str, int] = {}

    async def run(self, home: str, mesh: str, peers: list[str]) -> None:
        """Play, and answer until the pipe ends."""
        async with Node(self._name, home=home, mesh=mesh, listen="127.0.0.1", peers=peers, discovery=False) as node:
            self._pipe.send(("address", node.address))
            playing = asyncio.gather(*(self.play(node, room) for room in self._script))
            playing.add_done_callback(lambda done: self._pipe.send(("played", repr(done.exception() or ""))))
            loop = asyncio.get_running_loop()
            while (order := await loop.run_in_executor(None, self._pipe.recv)) != "end":
                self._pipe.send((order, self._seen if order == "seen" else await self.timelines(node)))

    async def play(self, node: Node, room_name: str) -> None:
        """Say each line of ours once all before it are there."""
        lines = self._script[room_name]
        room = await node.join(room_name)
        played_before = len(await room.history(len(lines) + 1))  # some of them perhaps by ourselves, before a kill
        messages = room.messages("start")
        said = -1
        self._seen[room_name] = seen = 0
        while seen < len(lines):
            if seen >= played_before and lines[seen].speaker == self._name and said < seen:
                sent = await room.send(lines[seen].text)
                self._pipe.send(("acknowledged", (room_name, seen, str(sent.id))))
                said = seen
            message = await messages.__anext__()
            if message.text is not None:  # a gap has none; what is missing there comes later
                self._seen[room_name] = seen = seen + 1

    async def timelines(self, node: Node) -> Timelines:
        """What this store gives as history, a room a list."""
        found: Timelines = {}
        for room_name, lines in self._script.items():
            room = await node.join(room_name)
            history = await room.history(2 * len(lines))
            found[room_name] = [Heard(str(each.id), each.author.name, each.text) for each in history]
        return found


# Who directs them -------------------------------------------------------------------------------------------


class Director:
    """Starts, kills and restarts the nodes, and keeps what they acknowledged."""

    def __init__(self, names: list[str], script: Script, folder: str, rng: random.Random) -> None:
        self._names = names
        self._script = script
        self._folder = folder
        self._rng = rng
        self._mesh = f"replay {secrets.token_hex(4)}"
        self._context = multiprocessing.get_context("spawn")
        self._processes: dict[str, Any] = {}
        self._pipes: dict[str, Connection] = {}
        self._addresses: dict[str, str] = {}
        self._played: set[str] = set()
        self.acknowledged: dict[tuple[str, int], str] = {}

    def start(self, name: str) -> None:
        """Start a node, told of all addresses so far, and wait until it is up."""
        ours, theirs = self._context.Pipe()
        peers = [address for other, address in self._addresses.items() if other != name]
        home = str(Path(self._folder) / name)
        process = self._context.Process(target=perform, args=(theirs, name, home, self._mesh, peers, self._script))
        process.start()
        theirs.close()
        self._processes[name], self._pipes[name] = process, ours
        self._await(lambda: name in self._addresses and process.is_alive(), START_TIMEOUT_S)

    def kill(self, name: str) -> None:
        """SIGKILL; what the node had told before is heard."""
        self._processes[name].kill()
        self._processes[name].join()
        pipe = self._pipes.pop(name)
        self._played.discard(name)
        try:
            while True:
                self._hear(name, pipe.recv())
        except (EOFError, OSError):
            pipe.close()  # the end, or a word that the kill cut off

    def play(self, kills: int) -> None:
        """All lines, with a kill whenever another part of them is acknowledged."""
        total = sum(map(len, self._script.values()))
        for number in range(1, kills + 1):
            mark = number * total // (kills + 1)
            self._await(functools.partial(self._has_come_to, mark))
            name = self._rng.choice(self._names)
            self.kill(name)
            print(f"{len(self.acknowledged):6} of {total} lines: {name} is killed ({number} of {kills})", flush=True)
            back_s = time.monotonic() + DOWN_S
            while (left_s := back_s - time.monotonic()) > 0:
                self._listen(left_s)
            self.start(name)
        self._await(lambda: self._played == set(self._names))

    def timelines(self) -> dict[str, Timelines]:
        """Each node's, by its name."""
        return {name: self._ask(name, "timelines") for name in self._names}

    def end(self) -> None:
        """End all processes."""
        for process in self._processes.values():
            process.kill()
            process.join()

    def _has_come_to(self, mark: int) -> bool:
        return len(self.acknowledged) >= mark

    def _ask(self, name: str, order: str) -> Any:
        pipe = self._pipes[name]
        pipe.send(order)
        while True:
            kind, value = pipe.recv()
            if kind == order:
                return value
            self._hear(name, (kind, value))

    def _await(self, is_so: Callable[[], bool], stalled_s: float = STALLED_S) -> None:
        """Listen until it is so; exits where nobody has said anything for too long."""
        while not is_so():
            if not self._listen(stalled_s):
                seen = {name: self._ask(name, "seen") for name in self._pipes}
                stuck = [
                    f"{room}: {len(lines)} lines, read " + ", ".join(f"{name} {seen[name].get(room)}" for name in seen)
                    for room, lines in self._script.items()
                    if any(seen[name].get(room) != len(lines) for name in seen)
                ]
                sys.exit("\n".join([f"nothing was said for {stalled_s:g} s", *stuck]))

    def _listen(self, timeout_s: float) -> bool:
        """Hear what there is within this time; whether there was something."""
        ready = wait(list(self._pipes.values()), timeout_s)
        for name, pipe in list(self._pipes.items()):
            if pipe in ready:
                try:
                    self._hear(name, pipe.recv())
                except EOFError:
                    sys.exit(f"{name} has ended by itself (exit code {self._processes[name].exitcode})")
        return bool(ready)

    def _hear(self, name: str, told: tuple[str, Any]) -> None:
        kind, value = told
        if kind == "address":
            self._addresses[name] = value
        elif kind == "acknowledged":
            room, index, message = value
            self.acknowledged[room, index] = message
        elif kind == "played":
            if value != repr(""):
                sys.exit(f"{name} could not go on: {value}")
            self._played.add(name)


# What must come out -----------------------------------------------------------------------------------------


def faults(script: Script, timelines: dict[str, Timelines], acknowledged: dict[tuple[str, int], str]) -> list[str]:
    """A line for all that differs from the script or between the nodes."""
    found = []
    first = next(iter(timelines))
    for room, lines in script.items():
        for name, of_node in timelines.items():
            heard = of_node[room]
            said = [(each.speaker, each.text) for each in heard]
            if said != lines:
                same = (a == b for a, b in zip(said, lines, strict=False))
                at = sum(1 for _ in itertools.takewhile(bool, same))
                found.append(
                    f"{room}, {name}: {len(heard)} of {len(lines)} lines, other than the script from line {at}"
                )
            if heard != timelines[first][room]:
                found.append(f"{room}: the timelines of {first} and {name} differ")
            count = Counter(each.message for each in heard)
            lost = [at for (where, at), message in acknowledged.items() if where == room and count[message] != 1]
            if lost:
                found.append(f"{room}, {name}: {len(lost)} acknowledged lines are not there once, first line {lost[0]}")
    return found


def main() -> int:
    """Play all, or the part that is asked for; 0 only if every node ends with the script in every room."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--part", type=int, metavar="N", help="only the first N conversations of each language")
    parser.add_argument("--nodes", type=int, default=4, metavar="N", help="how many nodes play")
    parser.add_argument("--kills", type=int, default=12, metavar="N", help="how often one of them is killed")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="chooses who is killed")
    options = parser.parse_args()
    names = [f"player{number}" for number in range(1, options.nodes + 1)]
    script = read_script(names, options.part)
    total = sum(map(len, script.values()))
    print(f"{total} lines in {len(script)} rooms, played by {len(names)} nodes", flush=True)
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="zmqchat-replay-") as folder:
        director = Director(names, script, folder, random.Random(options.seed))
        try:
            for name in names:
                director.start(name)
            director.play(options.kills)
            wrong = faults(script, director.timelines(), director.acknowledged)
        finally:
            director.end()
    took_s = time.monotonic() - started_s
    for fault in wrong:
        print(fault)
    verdict = f"{len(wrong)} faults" if wrong else "every node has every line once, in the order of the script"
    acknowledged = len(director.acknowledged)
    print(f"{verdict}; {acknowledged} of {total} lines were acknowledged, {options.kills} kills, {took_s:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
