"""Each program of examples/ runs in a process of its own and does what its docstring says."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import socket
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.ports import named_ports
from tests.support.programs import Program
from tests.support.requirements import require
from tests.support.sources import REPO

RUN_BY_ANOTHER_TEST = {"replay.py"}


class Stage:
    """Where examples play: a user of their own, a mesh of their own, and one address that all know."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"127.0.0.1:{free_port()}"
        self.environment = {
            **os.environ,
            "HOME": str(folder),
            "XDG_DATA_HOME": str(folder / "data"),
            "PYTHONPATH": str(REPO),
            "PYTHONUNBUFFERED": "1",
            "PAGE_MESH": f"examples-{secrets.token_hex(4)}",
        }

    def start(self, example: str, *arguments: str, listens: bool = False) -> Program:
        """Start an example; one of them listens at the stage's address, the others dial it."""
        known = {"PAGE_LISTEN": self.address} if listens else {"PAGE_PEERS": self.address}
        command = [sys.executable, str(REPO / "tests/support/loopback.py"), str(REPO / "examples" / example)]
        return Program([*command, *arguments], {**self.environment, **known}, self.folder)

    def talker(self, name: str) -> Program:
        """A node that says in the lobby what is typed to it, a line each, and tells when it is up."""
        program = (
            "import sys\n"
            "from zmqchat.sync import Node\n"
            f"with Node({name!r}, mesh={self.environment['PAGE_MESH']!r}, peers=[{self.address!r}],\n"
            "          discovery=False) as node:\n"
            "    lobby = node.join('lobby')\n"
            "    print('up', flush=True)\n"
            "    for line in sys.stdin:\n"
            "        lobby.send(line.strip(), until='delivered', timeout=20)\n"
            "        print('said', line.strip(), flush=True)\n"
        )
        return Program([sys.executable, "-c", program], self.environment, self.folder)


def free_port() -> int:
    """A port that nobody uses now, with two free ones after it."""
    while True:
        with closing(socket.socket()) as first, closing(socket.socket()) as second, closing(socket.socket()) as third:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
                third.bind(("127.0.0.1", port + 2))
            except (OSError, OverflowError):
                continue
            return port


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A fresh stage."""
    return Stage(tmp_path)


def test_hello_client_reaches_hello_server(stage: Stage) -> None:
    """The client's text is printed by the server as `name: text`, and the client ends by itself."""
    with named_ports():
        for port in (8000, 8001, 8002):
            require(is_free(port), f"port {port} is in use, and the example names it")
        with stage.start("hello_server.py", listens=True) as server, stage.start("hello_client.py") as client:
            server.wait_for(r"^\S+: Hello, World!$")
            assert client.process.wait(10) == 0, client.printed


def test_bot_answers_what_is_said_while_it_is_there(stage: Stage) -> None:
    """`!time` is answered with the time; other texts are not."""
    with stage.start("bot.py", listens=True) as bot, stage.start("tail_json.py") as tail, stage.talker("ann") as ann:
        ann.wait_for("up")
        ann.type("hello\n!time\n")
        ann.wait_for("said !time")
        tail.wait_for(r"it is \d\d:\d\d UTC")
        assert len(re.findall("it is", tail.printed)) == 1
        assert bot.stop() == 0, bot.printed


def test_tail_json_prints_history_and_live_texts(stage: Stage) -> None:
    """Every line is a JSON object with the fields of `zmqchat tail --json`."""
    with stage.start("tail_json.py", "lobby", listens=True) as tail, stage.talker("ann") as ann:
        ann.type("one\ntwo\n")
        tail.wait_for('"two"')
        records = [json.loads(line) for line in tail.printed.splitlines()]
    texts = [record for record in records if record["text"] in {"one", "two"}]
    assert [record["text"] for record in texts] == ["one", "two"]
    assert set(texts[0]) == {"id", "room", "author", "name", "sent_at", "kind", "text"}
    assert (texts[0]["room"], texts[0]["name"], texts[0]["kind"]) == ("lobby", "ann", "text")


def test_collector_resumes_at_its_cursor(stage: Stage) -> None:
    """Killed and started again, the collector prints each reading once, those made meanwhile included."""
    with stage.start("sensor.py", "0.05", listens=True) as sensor:
        with stage.start("collector.py") as collector:
            collector.wait_for('"number": 3')
            collector.stop(signal.SIGKILL)
            first = readings(collector.printed)
        sensor.wait_for(f"reading {first[-1] + 20}$")
        with stage.start("collector.py") as again:
            again.wait_for(f'"number": {first[-1] + 20}[,}}]')
            second = readings(again.printed)
    # The kill may come between a line and its cursor: then that line comes again, and none is missing.
    repeated = len(set(first) & set(second))
    assert repeated <= 1
    assert first[0] == 1
    assert first + second[repeated:] == list(range(1, second[-1] + 1))


def test_every_example_is_run() -> None:
    """A new example needs a test here."""
    text = Path(__file__).read_text(encoding="utf-8")
    names = {path.name for path in (REPO / "examples").glob("*.py")} - RUN_BY_ANOTHER_TEST
    assert {name for name in names if f'"{name}"' not in text} == set()


def readings(printed: str) -> list[int]:
    """The numbers of the readings that a collector printed."""
    return [json.loads(line)["reading"]["number"] for line in printed.splitlines() if line.startswith("{")]


def is_free(port: int) -> bool:
    """Whether nobody listens there."""
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
