"""The stage of a scenario: its nodes, and all commands. The guide for writers is docs/internals/scenarios.md.

Time passes in `run` and `meet` only: what another command does is shown at its moment, beside it.
"""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Final

from tests.support.scenarios import BadScenario, Block, replayed
from tests.support.scenarios_forger import Forger, seconds
from tests.support.scenarios_views import VIEWS
from tests.support.scenarios_words import Words, event_name, when
from tests.support.scenarios_world import ROUND, ScenarioWorld, Tap
from zmqchat.model.addresses import Endpoint
from zmqchat.model.config import Config
from zmqchat.protocol import data_effects, effects, facts
from zmqchat.protocol.effects import Effect
from zmqchat.protocol.facts import Fact, FrameReceived, LeaveRoom, PeerSighted, ReadUpTo, Rename
from zmqchat.sim.disk import Disk
from zmqchat.sim.process import Process
from zmqchat.sim.routes import DOORS_PORT
from zmqchat.wire.codec import Frame

_SETTLED_S: Final = 3.0
_DISK_TROUBLES: Final = ("full", "broken", "unreadable")


def _classes(root: type) -> dict[str, type]:
    """All below this class, by name."""
    found: dict[str, type] = {}
    subclasses: list[type] = type.__subclasses__(root)
    for kind in subclasses:
        found |= {kind.__name__: kind, **_classes(kind)}
    return found


FRAMES: Final = _classes(Frame)
NAMES: Final = frozenset(FRAMES) | {
    name
    for module in (facts, effects, data_effects)
    for name, kind in inspect.getmembers(module, inspect.isclass)
    if issubclass(kind, Fact | Effect)
}
"""What `show` may name."""


class Stage:
    """Plays one scenario, command by command.

    covers   the machines that it says it is about
    """

    def __init__(self) -> None:
        self.covers: list[str] = []
        self._names: list[str] = []
        self._subnets: dict[str, tuple[str, ...]] = {}
        self._config = Config()
        self._shown: set[str] = set()
        self._only: set[str] = set()
        self._world: ScenarioWorld | None = None
        self._tap = Tap()
        self._backups: dict[str, Disk] = {}
        self._sent: dict[tuple[str, str], bytes] = {}
        self._begun_s = 0.0

    def play(self, line: str) -> list[str]:
        """Do what a line says; the trace of it."""
        words = shlex.split(line, comments=False)
        name = words[0]
        command: Callable[[list[str]], list[str] | None] | None = getattr(self, f"do_{name}", None)
        try:
            if name in VIEWS:
                return VIEWS[name](self.world, self.words, words[1:])
            if command is None:
                raise BadScenario("there is no such command")
            if self._world is not None:
                self._begun_s = self._world.now_s
            lines = command(words[1:])
            return self._trace() if lines is None else lines
        except (BadScenario, LookupError, ValueError, TypeError) as error:
            raise BadScenario(f"{line}: {error!r}") from error

    # The stage itself ----------------------------------------------------------------------------------

    @property
    def world(self) -> ScenarioWorld:
        """The world, made when the first command needs it."""
        if self._world is None:
            subnets = [self._subnets.get(name, ("lan",)) for name in self._names]
            self._world = ScenarioWorld(self._names, subnets, self._config)
            self._world.watch.trace = self._tap
            self.words = Words(self._world)
            self._forger = Forger(self._world, self.words)
        return self._world

    def _number(self, name: str) -> int:
        return self._names.index(name)

    def _process(self, name: str) -> Process:
        process = self.world.nodes[self._number(name)].process
        if process is None:
            raise BadScenario(f"{name} does not run")
        return process

    def _feed(self, name: str, fact: Fact) -> None:
        self._process(name).feed(fact)

    def _run(self, duration_s: float) -> None:
        schedule = self.world.schedule
        schedule.run_until(schedule.now_s + duration_s)

    def _trace(self) -> list[str]:
        if self._world is None:
            return []
        lines = []
        for at_s, number, what in self._tap.taken():
            node, name = self._names[number], event_name(what)
            payload = getattr(what, "payload", None)
            if isinstance(what, Effect) and payload is not None:
                self._sent[node, name] = payload
            line = self.words.traced(node, what)
            if line is not None and name in self._shown and (not self._only or node in self._only):
                lines.append(f"{when(at_s - self._begun_s):<6} {line}")
        if self._world.watch.failed:
            raise BadScenario(self._world.watch.failed[0])
        return lines

    # Before the play -------------------------------------------------------------------------------------

    def do_covers(self, words: list[str]) -> None:
        """Which machines this scenario is about, by their files in zmqchat/protocol."""
        self.covers += words

    def do_nodes(self, words: list[str]) -> None:
        """Who there is; `ann@north,south` is in these subnets."""
        for word in words:
            name, _, subnets = word.partition("@")
            self._names.append(name)
            if subnets:
                self._subnets[name] = tuple(subnets.split(","))

    def do_config(self, words: list[str]) -> None:
        """Change timings and bounds of all nodes: `full_mesh_max=2`."""
        kinds = {field.name: type(getattr(self._config, field.name)) for field in fields(Config)}
        given = dict(word.split("=") for word in words)
        self._config = replace(self._config, **{name: kinds[name](float(value)) for name, value in given.items()})

    def do_show(self, words: list[str]) -> None:
        """What is traced from here on: names of frames, effects and facts."""
        unknown = [word for word in words if word not in NAMES]
        if unknown:
            raise BadScenario(f"nothing is called {unknown}")
        self._shown = set(words)

    def do_only(self, words: list[str]) -> None:
        """Trace what happens at these nodes alone; nobody: at all."""
        self._only = set(words)

    # What users do -----------------------------------------------------------------------------------------

    def do_start(self, words: list[str]) -> None:
        """Start nodes that are down."""
        for name in words:
            self.world.restart(self._number(name))

    do_restart = do_start

    def do_link(self, words: list[str]) -> None:
        """The first is told where the others are, as by --peer; `bob@red`: where he is in that subnet."""
        for word in words[1:]:
            other, _, subnet = word.partition("@")
            self._sight(words[0], other, subnet)

    def _sight(self, name: str, other: str, subnet: str = "") -> None:
        shared = self.world.nodes[self._number(other)].plan.subnets
        ours = self.world.nodes[self._number(name)].plan.subnets
        subnet = subnet or next((subnet for subnet in shared if subnet in ours), shared[0])
        host = self.world.network.conditions.host_in(self._number(other), subnet)
        self._feed(name, PeerSighted(endpoint=Endpoint(host, DOORS_PORT), source="config"))

    def do_meet(self, words: list[str]) -> list[str]:
        """Start these nodes, link each to each, let them join the room (`in lobby`); 3 s pass, nothing is traced."""
        at = words.index("in") if "in" in words else len(words)
        names, rooms = words[:at], words[at + 1 :]
        for name in names:
            if self.world.nodes[self._number(name)].process is None:
                self.world.restart(self._number(name))
            for room in rooms:
                self.world.join(self._number(name), room)
        for index, name in enumerate(names):
            for other in names[index + 1 :]:
                self._sight(name, other)
        self._run(_SETTLED_S)
        self._trace()
        return []

    def do_join(self, words: list[str]) -> None:
        """A node joins rooms."""
        for room in words[1:]:
            self.world.join(self._number(words[0]), room)

    def do_leave(self, words: list[str]) -> None:
        """A node leaves a room."""
        self._feed(words[0], LeaveRoom(room=self.world.room(words[1])))

    def do_rename(self, words: list[str]) -> None:
        """A node's user takes another name."""
        self._feed(words[0], Rename(name=words[1]))

    def do_say(self, words: list[str]) -> list[str] | None:
        """A node says texts in a room, one after the other without waiting."""
        for text in words[2:]:
            if not self.world.say(self._number(words[0]), words[1], text):
                return ["refused"]
        return None

    def do_chat(self, words: list[str]) -> None:
        """A node says so many texts in a room, 20 ms apart: a batch each."""
        for number in range(int(words[2])):
            self.world.say(self._number(words[0]), words[1], f"text {number}")
            self._run(0.02)

    def do_flood(self, words: list[str]) -> None:
        """A node says so many texts of 40 letters in a room, 500 of them each 20 ms."""
        for number in range(int(words[2])):
            self.world.say(self._number(words[0]), words[1], f"text {number} ".ljust(40, "-"))
            if number % 500 == 0:
                self._run(0.02)

    def do_read(self, words: list[str]) -> None:
        """A node's user has read all of a room."""
        room = self.world.room(words[1])
        frontier = self._process(words[0]).machines.data.ledger.rooms[room].frontier
        self._feed(words[0], ReadUpTo(room=room, ends={key: log.end for key, log in frontier.items()}))

    def do_inquire(self, words: list[str]) -> None:
        """A node asks another what that thinks of it."""
        process = self._process(words[0])
        process.machines.inquiry.ask(self.world.nodes[self._number(words[1])].peer)
        process.settle()

    def do_survey(self, words: list[str]) -> None:
        """A node's user looks at the mesh: it asks who has links to whom."""
        process = self._process(words[0])
        process.machines.survey.ask()
        process.settle()

    # What befalls them ---------------------------------------------------------------------------------------

    def do_run(self, words: list[str]) -> None:
        """Time passes."""
        self._run(seconds(words[0]))

    def do_kill(self, words: list[str]) -> None:
        """Processes end at once; `power` at the end: their machines are off, and nobody hears of it."""
        power = words[-1] == "power"
        for name in words[: len(words) - power]:
            self.world.kill(self._number(name), power=power)

    def do_stop(self, words: list[str]) -> None:
        """Nodes are stopped by their users."""
        for name in words:
            self.world.stop(self._number(name))

    def do_pause(self, words: list[str]) -> None:
        """A process stands still."""
        self.world.pause(self._number(words[0]))

    def do_resume(self, words: list[str]) -> None:
        """It goes on."""
        self.world.resume(self._number(words[0]))

    def do_disk(self, words: list[str]) -> None:
        """A node's disk is full, broken, unreadable, or fine."""
        trouble = {name: name == words[1] for name in _DISK_TROUBLES}
        if words[1] not in (*_DISK_TROUBLES, "fine"):
            raise BadScenario("full, broken, unreadable or fine")
        self.world.set_disk(self._number(words[0]), **trouble)

    def do_backup(self, words: list[str]) -> None:
        """Copy a node's disk."""
        self._backups[words[0]] = self.world.snapshot(self._number(words[0]))

    def do_restore(self, words: list[str]) -> None:
        """Kill a node and put the copy in place of its disk; `unnoticed`: nothing shows that it is a copy."""
        noticed = "unnoticed" not in words
        self.world.restore(self._number(words[0]), self._backups[words[0]], noticed=noticed)

    def do_clock(self, words: list[str]) -> None:
        """Set a node's wall clock ahead or back: `clock ann +1y`."""
        self.world.jump_clock(self._number(words[0]), seconds(words[1]))

    def do_partition(self, words: list[str]) -> None:
        """Let nothing pass between groups: `partition ann / bob cat`."""
        groups = " ".join(words).split("/")
        self.world.partition([[self._number(name) for name in group.split()] for group in groups])

    def do_heal(self, _words: list[str]) -> None:
        """No partition and no cut any more."""
        self.world.heal()

    def do_cut(self, words: list[str]) -> None:
        """Let nothing pass between two nodes; `one-way`: from the first to the second."""
        self.world.cut(self._number(words[0]), self._number(words[1]), one_way="one-way" in words)

    def do_slow(self, words: list[str]) -> None:
        """Frames between two nodes take so long: `slow ann bob 300ms`."""
        latency_s = seconds(words[2])
        quality = replace(ROUND, latency_s=(latency_s, latency_s))
        self.world.set_link(self._number(words[0]), self._number(words[1]), quality)

    def do_drop(self, words: list[str]) -> None:
        """Lose frames of these types that one node sends to another."""
        for name in words[2:]:
            self.world.lose(self._number(words[0]), self._number(words[1]), FRAMES[name], lost=True)

    def do_pass(self, words: list[str]) -> None:
        """Lose them no longer."""
        for name in words[2:]:
            self.world.lose(self._number(words[0]), self._number(words[1]), FRAMES[name], lost=False)

    # What nobody honest does -----------------------------------------------------------------------------------

    def do_knock(self, words: list[str]) -> None:
        """A stranger knocks at a node's door; `scenarios_forger` has the options."""
        self._feed(words[0], self._forger.knock(dict(word.split("=") for word in words[1:])))

    def do_forge(self, words: list[str]) -> None:
        """`forge bob -> ann KIND …`: ann gets a frame from bob that bob did not send; `times=N`: so often."""
        sender, _arrow, receiver, kind, *rest = words
        options = dict(word.split("=") for word in rest if "=" in word)
        given = [word for word in rest if "=" not in word]
        peer = self.world.nodes[self._number(sender)].peer
        for _ in range(int(options.pop("times", "1"))):
            payload = self._forger.payload(sender, kind, given, options)
            self._feed(receiver, FrameReceived(peer=peer, payload=payload, inbound=True))

    def do_replay(self, words: list[str]) -> None:
        """`replay ann -> bob Push`: bob gets once more the last frame of this type that ann has sent to anybody."""
        sender, _arrow, receiver, name = words
        peer = self.world.nodes[self._number(sender)].peer
        self._feed(receiver, FrameReceived(peer=peer, payload=self._sent[sender, name], inbound=True))


def played(blocks: list[Block]) -> list[Block]:
    """The scenario with the traces that it has now."""
    return replayed(blocks, Stage().play)


def covered(blocks: list[Block]) -> list[str]:
    """The machines that a scenario says it is about."""
    return [word for block in blocks if block.command.startswith("covers ") for word in block.command.split()[1:]]
