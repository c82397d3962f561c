"""The blocking face: the same names from any thread, and the smallest pair of programs."""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import environment, free_port
from tests.support.nodes import FAST
from tests.support.programs import Program
from zmqchat import DeliveryTimeout, HomeInUse, Message, MessageTooLarge, NodeClosed, Room, UsageError, WrongProcess
from zmqchat import Node as AsynchronousNode
from zmqchat.discovery.quiet import QuietDiscovery
from zmqchat.sync import Client, Node, Server
from zmqchat.sync import Room as BlockingRoom

WAIT_S = 15.0


def made(folder: Path, name: str = "ann", *others: Node) -> Node:
    """A blocking node on the loopback interface, told of the others."""
    peers = [other.address for other in others]
    return Node(name, home=folder / name, listen="127.0.0.1", discovery=False, peers=peers, config=FAST)


def public(kind: type) -> set[str]:
    """The names of a class that are a promise."""
    return {name for name in dir(kind) if not name.startswith("_")}


def test_the_same_names() -> None:
    """Whatever the asynchronous node promises, the blocking one has, with the same arguments."""
    assert public(AsynchronousNode) <= public(Node)
    names = ("join", "leave", "send", "send_app", "send_all", "wait", "messages", "history", "linger")
    for theirs, ours in ((AsynchronousNode, Node), (Room, BlockingRoom)):
        for name in set(names) & set(vars(theirs)):
            expected = list(inspect.signature(vars(theirs)[name]).parameters)
            assert list(inspect.signature(vars(ours)[name]).parameters) == expected, name


def test_two_nodes_talk(home: Path) -> None:
    """Send, receive, look back, with people's names."""
    with made(home) as ann, made(home, "bob", ann) as bob:
        here, there = ann.join("lobby"), bob.join("lobby")
        sent = here.send("Hello, World!", until="held", timeout=WAIT_S)
        assert [peer.id for peer in sent.held] == [bob.id]
        message = next(there.messages(after="start"))
        assert isinstance(message, Message)
        assert (message.text, message.author.name, message.id) == ("Hello, World!", "ann", sent.id)
        assert [m.text for m in there.history()] == ["Hello, World!"]
        posted = here.post("again")
        assert posted.result(WAIT_S).id.number > sent.id.number
        assert {here.wait(what, "held", WAIT_S).id for what in (posted, posted.id)} == {posted.id}
        assert [room.name for room in bob.rooms] == ["lobby"]
        assert [peer.id for peer in bob.peers] == [ann.id]
        assert here.send_app("a/b", [1]).id.number > sent.id.number
        assert ann.doctor()["name"] == "ann"
        with pytest.raises(MessageTooLarge):
            here.send("x" * 70_000)


def test_bulk_in_both_directions(home: Path) -> None:
    """`send_all` of a generator, and blocks."""
    with made(home) as ann:
        lobby = ann.join("lobby")
        sents = list(lobby.send_all(str(number) for number in range(2_000)))
        assert len({sent.id for sent in sents}) == 2_000
        texts: list[str | None] = []
        for block in lobby.messages(after="start").blocks():
            texts += [message.text for message in block]
            if len(texts) >= 2_000:
                break
        assert texts == [str(number) for number in range(2_000)]


def test_results_come_while_the_source_waits(home: Path) -> None:
    """A source that blocks until its first text is reported does not block the reporting."""
    with made(home) as ann:
        reported = threading.Event()

        def source() -> Iterator[str]:
            yield "first"
            assert reported.wait(WAIT_S)
            yield "second"

        for number, _sent in enumerate(ann.join("lobby").send_all(source())):
            reported.set()
            assert number < 2


def test_an_error_of_the_source_is_raised(home: Path) -> None:
    """What it gave before is reported first."""

    def source() -> Iterator[str]:
        yield "good"
        raise LookupError("gone")

    with made(home) as ann:
        lobby = ann.join("lobby")
        sends = lobby.send_all(source())
        next(sends)
        with pytest.raises(LookupError, match="gone"):
            next(sends)
        assert [m.text for m in lobby.history()] == ["good"]


def test_breaking_off_a_source_that_never_comes_back(home: Path) -> None:
    """Neither the break nor the stop waits for it."""
    with made(home) as ann:
        never = threading.Event()

        def source() -> Iterator[str]:
            yield "first"
            never.wait()

        for _sent in ann.join("lobby").send_all(source()):
            break
        started_s = time.monotonic()
    assert time.monotonic() - started_s < 2.0
    never.set()


def test_several_threads_share_a_node(home: Path) -> None:
    """Each thread sends and reads; every text is there once."""
    with made(home) as ann:
        lobby = ann.join("lobby")
        seen: list[list[str | None]] = []

        def talk(name: str) -> None:
            cursor = lobby.messages(after="start")
            for number in range(50):
                lobby.send(f"{name} {number}")
            seen.append([next(cursor).text for _ in range(200)])

        threads = [threading.Thread(target=talk, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
        expected = {f"{name} {number}" for name in "abcd" for number in range(50)}
        assert [set(texts) for texts in seen] == [expected] * 4
        assert all(texts == seen[0] for texts in seen)


def test_a_message_marks_itself_read_from_any_thread(home: Path) -> None:
    """`mark_read` is called where the program reads, not on the node's loop."""
    with made(home) as ann, made(home, "bob", ann) as bob:
        here, there = ann.join("lobby"), bob.join("lobby")
        sent = here.send("read me", until="delivered", timeout=WAIT_S)
        there.history()[-1].mark_read()
        assert [peer.id for peer in here.wait(sent.id, "read", WAIT_S).read] == [bob.id]


def test_a_failure_is_no_end_of_reading(home: Path) -> None:
    """A cursor of a node that has stopped by itself raises why, before and after."""
    with made(home) as ann:
        lobby = ann.join("lobby")
        cursor, blocks = lobby.messages(after=None), lobby.messages(after=None).blocks()
        ann._call(lambda: ann._node._fail("a test said so"))
        for waiting in (cursor, blocks):
            with pytest.raises(NodeClosed, match="a test said so"):
                next(waiting)


def test_stop_wakes_every_thread(home: Path) -> None:
    """Cursors and events end, a wait raises NodeClosed, and no thread is left."""
    before = set(threading.enumerate())
    ann = made(home)
    ann.start()
    lobby = ann.join("lobby")
    ended: list[str] = []

    def wait() -> None:
        try:
            lobby.send("for nobody", until="held")
        except NodeClosed:
            ended.append("send")

    threads = [
        threading.Thread(target=lambda: ended.append(f"messages {len(list(lobby.messages(after=None)))}")),
        threading.Thread(target=lambda: ended.append(f"events {bool(list(ann.events()))}")),
        threading.Thread(target=wait),
    ]
    for thread in threads:
        thread.start()
    while not lobby.history():
        time.sleep(0.005)
    ann.stop()
    for thread in threads:
        thread.join(5)
    assert {word.split()[0] for word in ended} == {"send", "messages", "events"}
    ann.stop()
    with pytest.raises(NodeClosed):
        lobby.send("late")
    assert set(threading.enumerate()) <= before


async def test_where_a_loop_runs_already(home: Path) -> None:
    """A notebook runs its cells inside a loop: the blocking node works there too, from start to stop."""
    with made(home) as ann:
        ann.join("lobby").send("from a cell")
        assert [message.text for message in ann.join("lobby").history()] == ["from a cell"]
    assert "zmqchat-node" not in [thread.name for thread in threading.enumerate()]


def test_a_node_that_cannot_start_leaves_nothing(home: Path) -> None:
    """The error is the asynchronous node's, and no thread stays."""
    with made(home):
        before = set(threading.enumerate())
        with pytest.raises(HomeInUse):
            made(home).start()
        assert set(threading.enumerate()) <= before


def test_a_forked_child_is_told(home: Path) -> None:
    """The inherited node raises WrongProcess; a node of its own works there."""
    with made(home) as ann:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            try:
                said = str(ann.id)
            except WrongProcess:
                with made(home, "child") as own:
                    said = own.join("lobby").send("x").id.author.hex()[:4] and "own node works"
            os.write(writer, said.encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as file:
            assert file.read() == "own node works"
        os.waitpid(child, 0)
        ann.join("lobby").send("the parent's too")


# The smallest pair, in processes of their own -----------------------------------------------------------

SERVER = """
from zmqchat.sync import Server
server = Server(); server.start_listening("localhost:{port}"); print("ready", flush=True); server.listen_for_messages()
print("ended", flush=True)
"""
CLIENT = """
from zmqchat.sync import Client
client = Client(); client.connect("localhost:{port}"); client.send_message("Hello, World!")
"""


def user_environment(folder: Path) -> dict[str, str]:
    """Homes of their own for the programs of one test."""
    return {**environment(), "XDG_DATA_HOME": str(folder), "HOME": str(folder)}


def program(folder: Path, script: str, port: int) -> Program:
    """A script as a program."""
    return Program([sys.executable, "-c", script.format(port=port)], user_environment(folder), folder)


def run_client(folder: Path, port: int, script: str = CLIENT) -> tuple[float, subprocess.CompletedProcess[str]]:
    """A client script to its end; how long it took after its message was sent."""
    script = script + 'import time; print("sent", time.time(), flush=True)\n'
    done = subprocess.run(
        [sys.executable, "-c", script.format(port=port)],
        env=user_environment(folder),
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    ended_s = time.time()
    words = done.stdout.split()
    return (ended_s - float(words[-1]) if words else 0.0), done


def test_the_pair_word_for_word(home: Path) -> None:
    """A script that just ends exits within 2 s; its message is printed; Ctrl-C ends the server cleanly."""
    home.mkdir(parents=True)
    port = free_port()
    with program(home, SERVER, port) as server:
        server.wait_for("ready")
        exit_s, done = run_client(home, port)
        assert (done.returncode, done.stderr) == (0, "")
        assert exit_s < 2.0
        server.wait_for(r"^client: Hello, World!$")
        started_s = time.monotonic()
        assert server.stop(signal.SIGINT) == 0
        assert time.monotonic() - started_s < 3.0
        assert "Traceback" not in server.printed
        assert server.printed.endswith("ended\n")


def test_the_server_goes_on_where_it_was(home: Path) -> None:
    """A second run prints what the first has not yet printed, and maybe the last one again, never less."""
    home.mkdir(parents=True)
    port = free_port()
    with program(home, SERVER, port) as server:
        server.wait_for("ready")
        run_client(home, port)
        server.wait_for("Hello, World!")
        run_client(home, port, CLIENT.replace("Hello, World!", "second"))
        server.wait_for("client: second")
    with program(home, SERVER, port) as server:
        server.wait_for("ready")
        run_client(home, port, CLIENT.replace("Hello, World!", "third"))
        server.wait_for("client: third")
        assert "Hello" not in server.printed


def test_a_temporary_home_where_another_process_has_it(home: Path) -> None:
    """Two clients and two servers at once work; the temporary homes are removed."""
    home.mkdir(parents=True)
    port, second_port = free_port(), free_port()
    temporary = home / "tmp"
    temporary.mkdir()
    os.environ["TMPDIR"] = str(temporary)
    try:
        with program(home, SERVER, port) as server, program(home, SERVER, second_port) as second:
            server.wait_for("ready")
            second.wait_for("ready")
            run_client(home, second_port)
            second.wait_for("client: Hello, World!")
    finally:
        del os.environ["TMPDIR"]
    assert [path for path in temporary.iterdir() if path.name.startswith("zmqchat-")] == []


def test_a_client_without_a_server_gets_one_clear_error(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message is kept; the error says where nobody was and what to do."""
    monkeypatch.setattr("zmqchat.sync.HELD_TIMEOUT_S", 0.2)
    client = Client()
    port = free_port()
    client.connect(f"localhost:{port}")
    try:
        with pytest.raises(DeliveryTimeout, match=f"localhost:{port}.*server listening"):
            client.send_message("anybody?")
    finally:
        client.stop()
    server = Server()
    server.start_listening(f"localhost:{port}")
    try:
        client.connect(f"localhost:{port}")
        assert next(server.messages()).text == "anybody?"
    finally:
        client.stop()
        server.stop()


@pytest.mark.parametrize("ending", ["", "raise SystemExit(3)", "raise ValueError"])
def test_a_script_that_just_ends_flushes(home: Path, ending: str) -> None:
    """What was posted a moment before its last line is kept, however it ends; it is gone within 2 s."""
    home.mkdir(parents=True)
    script = f"""
from zmqchat.sync import Node
node = Node("ann", home={str(home / "ann")!r}, listen="127.0.0.1", discovery=False); node.start()
lobby = node.join("lobby")
for number in range(500): lobby.post("text " + str(number))
import time; print(time.time(), flush=True)
{ending}
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=user_environment(home),
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert time.time() - float(done.stdout) < 2.0, done.stderr
    assert done.returncode == {"": 0, "raise SystemExit(3)": 3, "raise ValueError": 1}[ending], done.stderr
    assert done.stderr.count("Traceback") == (ending == "raise ValueError")
    with made(home) as ann:
        assert [message.text for message in ann.join("lobby").history(1_000)] == [f"text {n}" for n in range(500)]


@pytest.mark.parametrize("asked", [False, True])
def test_the_pair_discovers_only_when_asked(home: Path, monkeypatch: pytest.MonkeyPatch, asked: bool) -> None:
    """Nothing goes out by multicast because a program tries the smallest form, whatever its home's file says."""
    begun: list[object] = []

    class Recorded(QuietDiscovery):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            begun.append(self)
            super().__init__(*arguments, **options)

    monkeypatch.setattr("zmqchat.discovery.mdns.MdnsDiscovery", Recorded)
    monkeypatch.setenv("XDG_DATA_HOME", str(home))
    for name in ("server", "client"):
        (home / "zmqchat" / name).mkdir(parents=True, mode=0o700)
        (home / "zmqchat" / name / "config.toml").write_text(f"discovery = {str(not asked).lower()}")
    server, client, port = Server(discovery=asked), Client(discovery=asked), free_port()
    try:
        server.start_listening(f"localhost:{port}")
        client.connect(f"localhost:{port}")
        assert len(begun) == (2 if asked else 0)
    finally:
        client.stop()
        server.stop()


def test_using_the_pair_too_early() -> None:
    """Before connect and start_listening there is an error that says so."""
    with pytest.raises(NodeClosed, match="first"):
        Client().send_message("x")
    with pytest.raises(NodeClosed, match="first"):
        next(Server().messages())


def test_an_address_that_is_no_text_stops_nothing() -> None:
    """`start_listening(8000)` and `connect(8000)` say what an address is, and leave what runs alone."""
    for call in (Server().start_listening, Client().connect):
        with pytest.raises(UsageError):
            call(8000)  # type: ignore[arg-type]  # what a program without types passes
