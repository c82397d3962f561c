"""A whole node: started, stopped, asked about itself and others."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import re
import tempfile
import threading
import time
from pathlib import Path

import pytest

from tests.support.nodes import FAST, MESH, eventually, has_texts, linked, running, share_room, take_texts
from zmqchat import (
    BadAddress,
    BadName,
    HomeInUse,
    Node,
    NodeClosed,
    PortInUse,
    TooManyRooms,
    UsageError,
    WrongProcess,
)
from zmqchat.protocol.effects import Store
from zmqchat.sync import Node as BlockingNode


def open_files() -> set[str]:
    """What this process has open, by what it leads to; without what belongs to no node."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{number} {os.readlink(f'/proc/self/fd/{number}')}")
        except OSError:
            continue
    return found


async def test_a_node_is_in_the_lobby_from_its_first_start(home: Path) -> None:
    """Nobody has to join anything to be found."""
    async with running(home) as ann:
        assert [room.name for room in ann.rooms] == ["lobby"]
        assert ann.peers == []
        assert ann.name == "ann"
        assert ann.home == home / "ann"


async def test_rooms_are_kept_until_left(home: Path) -> None:
    """Membership is durable, and so is its end."""
    async with running(home) as ann:
        await ann.join("Deck 3")
        await ann.join("engine")
        await ann.leave("engine")
        await eventually(lambda: [room.name for room in ann.rooms] == ["Deck 3", "lobby"])
    async with running(home) as ann:
        assert [room.name for room in ann.rooms] == ["Deck 3", "lobby"]


async def test_one_room_too_many_is_an_error_that_says_what_to_do(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in no more and no fewer rooms than before; a room that is left makes place at once."""
    monkeypatch.setattr("zmqchat.protocol.membership.ROOMS_MAX", 2)
    async with running(home) as ann:
        await ann.join("engine")
        with pytest.raises(TooManyRooms, match=r"'galley'.*2 rooms.*leave one"):
            await ann.join("galley")
        assert [room.name for room in ann.rooms] == ["engine", "lobby"]
        lobby = await ann.join("lobby")
        await lobby.send("all is well")
        await ann.leave("engine")
        galley = await ann.join("galley")
        await galley.send("soup")
        assert [room.name for room in ann.rooms] == ["galley", "lobby"]


async def test_leaving_the_lobby_is_kept_too(home: Path) -> None:
    """Who has left the lobby is not put back into it."""
    async with running(home) as ann:
        await ann.leave("lobby")
    async with running(home) as ann:
        assert ann.rooms == []


async def test_the_same_room_by_another_spelling(home: Path) -> None:
    """Names are compared without case and in one normal form."""
    async with running(home) as ann:
        assert (await ann.join("LOBBY")).id == ann.rooms[0].id


async def test_two_nodes_meet_in_one_process(home: Path) -> None:
    """Each sees the other as a peer with name and address, and never itself."""
    async with running(home) as ann, running(home, "bob", ann) as bob:
        await linked(ann, bob)
        await share_room("lobby", ann, bob)
        await eventually(lambda: [peer.name for peer in ann.peers] == ["bob"])
        peer = bob.peers[0]
        assert (peer.id, peer.name, peer.online, peer.address) == (ann.id, "ann", True, ann.address)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"name": 5}, "name must be a text, not 5"),
        ({"mesh": 5}, "mesh must be a text, not 5"),
        ({"home": 5}, "home must be a folder's path, not 5"),
        ({"listen": 8000}, "'8000' is no address"),
        ({"listen": "[::1"}, "is no address"),
        ({"peers": "127.0.0.1:80"}, "peers must be a list of texts"),
        ({"peers": [80]}, "each of peers must be a text"),
        ({"interfaces": "eth0"}, "interfaces must be a list of texts"),
        ({"discovery": "no"}, "discovery must be True or False"),
        ({"config": {"ping_idle_s": 1}}, "config must be a Config"),
    ],
)
def test_arguments_of_another_type_are_refused_at_once(arguments: dict[str, object], told: str) -> None:
    """Each is one clear error of our tree, before anything is opened; `zmqchat.sync` raises the same."""
    for kind in (Node, BlockingNode):
        with pytest.raises(UsageError, match=re.escape(told)):
            kind(**arguments)  # type: ignore[arg-type]  # what a program without types passes


async def test_wrong_arguments_to_a_running_node_are_refused(home: Path) -> None:
    """The same for its methods; the node goes on."""
    async with running(home) as ann:
        with pytest.raises(UsageError, match="name must be a text, not None"):
            await ann.rename(None)  # type: ignore[arg-type]  # what a program without types passes
        with pytest.raises(BadAddress):
            ann.add_peer(8000)  # type: ignore[arg-type]  # see above
        with pytest.raises(UsageError, match="timeout must be seconds"):
            await ann.linger(-1)
        await (await ann.join("lobby")).send("still here")


async def test_a_peer_goes_by_its_newest_name_of_all_rooms(home: Path) -> None:
    """A rename is not told in a room that its author has left: what is known from there is older."""
    async with running(home) as ann, running(home, "bob", ann) as bob:
        await linked(ann, bob)
        for name in ("lobby", "one", "two"):
            _there, room = await share_room(name, ann, bob)
            await room.send("told with my name", until="delivered", timeout=10)
        left, *others = sorted(ann.rooms, key=lambda room: room.id)
        await bob.leave(left.name)
        await eventually(lambda: len(left.members) == 1)
        await bob.rename("rob")
        for room in others:
            await eventually(lambda: "rob" in [member.name for member in room.members])  # noqa: B023  # called at once
        assert [peer.name for peer in ann.peers] == ["rob"]


async def test_an_address_may_be_told_later(home: Path) -> None:
    """`add_peer` dials while the node runs."""
    async with running(home) as ann, running(home, "bob") as bob:
        bob.add_peer(ann.address)
        await linked(ann, bob)
        with pytest.raises(BadAddress):
            bob.add_peer("nowhere:port")


async def test_nodes_of_other_meshes_ignore_each_other(home: Path) -> None:
    """A dial between meshes makes no peer on either side."""
    async with running(home) as ann, running(home, "bob", ann, mesh="other") as bob:
        await eventually(lambda: any(peer.last_error for peer in bob.known_peers()) or _refused(ann))
        assert ann.peers == bob.peers == []


def _refused(node: Node) -> bool:
    return bool(node._core().core.machines.admission.refusals)


async def test_stop_leaves_nothing_behind(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No task, thread, socket, open file or temporary file outlives the block, and it ends within 2 s."""
    async with running(home) as warm_up, running(home, "bob", warm_up):
        pass
    tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
    files = open_files()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    async with running(home) as ann, running(home, "bob", ann) as bob:
        lobby, _there = await share_room("lobby", ann, bob)
        await lobby.send("said", until="delivered", timeout=10)
        reader = asyncio.ensure_future(anext(lobby.messages(after=None)))
        await asyncio.sleep(0)
        listener = asyncio.ensure_future(anext(ann.events()))
        started_s = time.monotonic()
        await asyncio.gather(ann.stop(), bob.stop())
        assert time.monotonic() - started_s < 2.0
        with pytest.raises(NodeClosed):
            await reader
        await asyncio.wait({listener})
        listener.exception()
    # Threads of the loop's own pool stay; they are no node's.
    await eventually(
        lambda: {t for t in threading.enumerate() if not t.name.startswith(("asyncio_", "uvloop_"))} <= threads
    )
    assert asyncio.all_tasks() == tasks
    await eventually(lambda: open_files() <= files, 3)
    assert os.listdir(tmp_path) == []


async def test_stop_makes_durable_what_was_accepted(home: Path) -> None:
    """A posting that nobody awaited is there at the next start."""
    texts = [f"text {number}" for number in range(3_000)]
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        for text in texts:
            lobby.post(text)
    async with running(home) as ann:
        await has_texts(await ann.join("lobby"), texts)


async def test_stop_may_be_called_often_and_at_once(home: Path) -> None:
    """Every call returns when the node has stopped."""
    async with running(home) as ann:
        await asyncio.gather(*(ann.stop() for _ in range(5)))
        await ann.stop()


async def test_everything_raises_after_the_end(home: Path) -> None:
    """Every call says that the node is stopped, none waits for ever or leaks an inner error."""
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        sent = await lobby.send("one")
    for call in (
        lambda: lobby.send("two"),
        lambda: lobby.history(),
        lambda: lobby.wait(sent.id),
        lambda: lobby.send_app("a/b", 1),
        lambda: anext(lobby.send_all(["three"])),
        lambda: ann.join("x"),
        lambda: ann.leave("x"),
        lambda: ann.rename("x"),
        lambda: ann.doctor(),
    ):
        with pytest.raises(NodeClosed):
            await asyncio.wait_for(call(), 5)
    for read in (lambda: ann.peers, lambda: ann.id, lambda: lobby.messages(), lambda: lobby.post("four"), ann.events):
        with pytest.raises(NodeClosed):
            read()


async def test_a_node_that_is_not_started_says_so(home: Path) -> None:
    """Its calls raise NodeClosed with what to do."""
    with pytest.raises(NodeClosed, match="start"):
        _ = Node("ann", home=home).id


async def test_a_stopped_node_starts_no_more(home: Path) -> None:
    """A node object is used once; its home again and again."""
    async with running(home) as ann:
        pass
    with pytest.raises(NodeClosed):
        await ann.start()


async def test_a_second_node_on_one_home_is_refused(home: Path) -> None:
    """In the same process too, and the first goes on."""
    async with running(home) as ann:
        with pytest.raises(HomeInUse):
            await Node("eve", home=home / "ann", discovery=False, listen="127.0.0.1").start()
        await (await ann.join("lobby")).send("still here")


async def test_a_taken_port_is_refused_and_leaves_nothing_open(home: Path) -> None:
    """`listen` with a port gets that port or an error, after which the home is free."""
    async with running(home) as ann:
        with pytest.raises(PortInUse):
            await Node("bob", home=home / "bob", discovery=False, listen=ann.address).start()
    async with running(home, "bob"):
        pass


async def test_a_cancelled_start_leaves_nothing_open(home: Path) -> None:
    """Whenever a start is cancelled, the home can be opened again at once."""
    for steps in range(0, 40, 2):
        node = Node("ann", home=home / "ann", listen="127.0.0.1", discovery=False, config=FAST)
        task = asyncio.create_task(node.start())
        for _ in range(steps):
            await asyncio.sleep(0.0005)  # time is what is varied
        task.cancel()
        await asyncio.wait({task})
        await node.stop()
    async with running(home):
        pass


async def test_names(home: Path) -> None:
    """A name without anything visible is refused; another one is kept for the next start."""
    for name in ("", "  ", "\u200b\u202e"):
        with pytest.raises(BadName):
            Node(name, home=home)
    async with running(home) as ann:
        await ann.rename("Anna")
        assert ann.name == "Anna"
        with pytest.raises(BadName):
            await ann.rename(" ")
    async with Node(home=home / "ann", listen="127.0.0.1", discovery=False) as again:
        assert again.name == "Anna"


async def test_two_nodes_with_default_homes(home: Path) -> None:
    """A library node's home is the one of its name."""
    async with (
        Node("ann", listen="127.0.0.1", discovery=False) as ann,
        Node("bob", listen="127.0.0.1", discovery=False) as bob,
    ):
        assert (ann.home.name, bob.home.name) == ("ann", "bob")
        assert ann.id != bob.id


async def test_linger_waits_for_a_holder(home: Path) -> None:
    """What was sent is held by another when it returns True; alone it gives up in time."""
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        assert await ann.linger(0.1)
        await lobby.send("alone")
        assert not await ann.linger(0.1)
        async with running(home, "bob", ann):
            assert await ann.linger(10)


async def test_an_inherited_node_is_refused_in_a_forked_child(home: Path) -> None:
    """The child gets WrongProcess from every use, its own Node works, and the parent's goes on."""
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            os.write(writer, _use_in_child(ann, lobby, home).encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as file:
            said = await asyncio.to_thread(file.read)
        await asyncio.to_thread(os.waitpid, child, 0)
        assert said == "WrongProcess WrongProcess WrongProcess own: from the child"
        await lobby.send("the parent goes on")


def _use_in_child(ann: Node, lobby: object, home: Path) -> str:
    words = []
    for use in (lambda: ann.id, lambda: lobby.post("x"), lambda: lobby.messages()):  # type: ignore[attr-defined]  # it is a Room
        try:
            use()
            words.append("nothing")
        except WrongProcess:
            words.append("WrongProcess")
    words.append(_run_in_thread(home / "child"))
    return " ".join(words)


def _run_in_thread(folder: Path) -> str:
    """A node of one's own, on a thread: the fork copied a running loop into this one."""
    said = []

    async def live() -> None:
        async with Node("child", home=folder, listen="127.0.0.1", discovery=False) as node:
            lobby = await node.join("lobby")
            await lobby.send("from the child")
            said.append(str((await lobby.history(1))[0].text))

    thread = threading.Thread(target=lambda: asyncio.run(live()))
    thread.start()
    thread.join(20)
    return f"own: {''.join(said)}"


def _spawned(folder: Path, address: str, mesh: str) -> None:
    async def live() -> None:
        async with Node(
            folder.name, home=folder, mesh=mesh, peers=[address], listen="127.0.0.1", discovery=False, config=FAST
        ) as node:
            await (await node.join("lobby")).send(f"from {folder.name}", until="held", timeout=20)

    asyncio.run(live())


async def test_spawned_children_make_their_own_nodes(home: Path) -> None:
    """multiprocessing's spawn and two nodes in the parent get along."""
    context = multiprocessing.get_context("spawn")
    async with running(home) as ann, running(home, "bob", ann) as bob:
        children = [context.Process(target=_spawned, args=(home / name, ann.address, MESH)) for name in ("cid", "dan")]
        for child in children:
            child.start()
        for child in children:
            await asyncio.to_thread(child.join, 30)
            assert child.exitcode == 0
        lobby = await bob.join("lobby")
        cursor = lobby.messages(after="start")
        assert set(await take_texts(cursor, 2)) == {"from cid", "from dan"}


async def test_a_failed_node_is_heard_no_more_and_lets_go(home: Path) -> None:
    """A machine that threw ends the node: peers lose it, calls say why, a stop releases home and store."""
    async with running(home) as ann:
        bob = Node("bob", home=home / "bob", listen="127.0.0.1", discovery=False, peers=[ann.address], mesh=MESH)
        await bob.start()
        await eventually(lambda: bool(ann.peers))
        ended: list[str] = []
        stop_discovery = bob._core().discovery.stop

        async def noted() -> None:
            ended.append("discovery")
            await stop_discovery()

        bob._core().discovery.stop = noted  # type: ignore[method-assign]  # a double in place
        bob._fail("a test said so")
        await eventually(lambda: not ann.peers)
        assert ended == ["discovery"]
        with pytest.raises(NodeClosed, match="a test said so"):
            bob.rooms  # noqa: B018 - looking is what is tested
        await bob.stop()
        async with Node("bob", home=home / "bob", listen="127.0.0.1", discovery=False, mesh=MESH) as again:
            assert again.name == "bob"


async def test_a_stop_lets_go_of_all_though_a_part_raises(home: Path) -> None:
    """The store and the home's lock are free again even where discovery breaks at the end."""
    node = Node("ann", home=home / "ann", listen="127.0.0.1", discovery=False, mesh=MESH)
    await node.start()

    stop_discovery = node._core().discovery.stop

    async def broken() -> None:
        await stop_discovery()
        raise RuntimeError("discovery is broken")

    node._core().discovery.stop = broken  # type: ignore[method-assign]  # a double in place
    with pytest.raises(RuntimeError, match="discovery is broken"):
        await node.stop()
    async with Node("ann", home=home / "ann", listen="127.0.0.1", discovery=False, mesh=MESH) as again:
        assert again.name == "ann"


async def test_a_stop_waits_no_longer_for_a_part_that_hangs(home: Path) -> None:
    """Within 2 s even where discovery does not heed being cancelled, and while something waits for the disk."""
    node = Node("ann", home=home / "ann", listen="127.0.0.1", discovery=False, mesh=MESH)
    await node.start()
    let_go = asyncio.Event()

    opened = node._core()
    stop_discovery = opened.discovery.stop

    async def hanging() -> None:
        await stop_discovery()
        while not let_go.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await let_go.wait()

    opened.discovery.stop = hanging  # type: ignore[method-assign]  # a double in place
    opened.runner.on({Store: lambda _effect: None})  # a disk that never answers
    (await node.join("lobby")).post("never stored")
    started_s = time.monotonic()
    await asyncio.wait_for(node.stop(), 10)
    assert time.monotonic() - started_s < 2.2
    let_go.set()
    async with Node("ann", home=home / "ann", listen="127.0.0.1", discovery=False, mesh=MESH) as again:
        assert again.name == "ann"
