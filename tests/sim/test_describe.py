"""What happens, in words: peers by their nodes, logs by letters, batches by their texts."""

from __future__ import annotations

import pytest

from tests.support.simworlds import Diary, process_of, say_all, small_world
from zmqchat.history.batch import Batch
from zmqchat.model.addresses import Endpoint
from zmqchat.model.ids import LogKey, MessageId, PeerId
from zmqchat.protocol.data_effects import OwnStored
from zmqchat.protocol.effects import (
    Deliver,
    DropBatch,
    Effect,
    PublishFeed,
    PutArrival,
    PutBatch,
    PutFrontier,
    PutRow,
    Send,
    Store,
)
from zmqchat.protocol.facts import Fact, FrameReceived, JoinRoom, PeerSighted, RangeLoaded
from zmqchat.sim.author import Author
from zmqchat.sim.describe import TEXT_CHARACTERS_MAX, Describer, batches_of, carries, frame_of
from zmqchat.sim.world import World
from zmqchat.wire.frames import Have, HaveEntry, Page, Ping, Push, encode


@pytest.fixture(scope="module")
def said() -> tuple[World, Diary, bytes]:
    """Two nodes, a text of the first, and its batch; nobody changes this world."""
    world, diary = small_world(nodes=2)
    say_all(world, "good morning")
    message = diary.message("good morning")
    room = world.room("lobby")
    (raw,) = (raw for _key, raw in world.nodes[0].disk.batches(room) if carries(raw, message))
    return world, diary, raw


def _batch(world: World, text: str = "stranger") -> Batch:
    """Of an author that is no node."""
    return Author("nobody").batch((text,), room=world.room("lobby"), first=2)


def test_a_batch_is_told_by_its_log_its_numbers_and_its_text(said: tuple[World, Diary, bytes]) -> None:
    """Alone, in a frame, in a store's writes, and in a page."""
    world, diary, raw = said
    describer, number = Describer(world), diary.message("good morning").number
    told = f"node0/a[{number},{number + 1}) 'good morning'"
    assert describer.batch(raw) == told
    key, room = LogKey(*diary.message("good morning")[:2]), world.room("lobby")
    page = encode(Page(request=1, batches=(raw,), done=True))
    put = PutBatch(room, key, number, number + 1, 5, raw)
    assert describer.line(RangeLoaded(token=1, batches=(raw,))) == f"RangeLoaded token=1 {told} failed=False"
    assert told in describer.line(FrameReceived(peer=world.nodes[1].peer, payload=page, inbound=True))
    assert told in describer.line(Store(token=1, writes=(put,)))
    assert describer.batch(b"nonsense") == "8 B"


def test_peers_rooms_and_strangers_have_names(said: tuple[World, Diary, bytes]) -> None:
    """A node's number, a room's name; of others the first bytes."""
    world, _diary, _raw = said
    describer, room = Describer(world), world.room("lobby")
    assert describer.line(JoinRoom(room=room, name="lobby")) == "JoinRoom room=lobby name=lobby latest_first=False"
    sighted = PeerSighted(endpoint=Endpoint("10.1.0.2", 42_100), peer=world.nodes[1].peer, source="mdns")
    assert describer.line(sighted) == "PeerSighted endpoint=10.1.0.2:42100 peer=node1 source=mdns"
    stranger = Author("nobody").peer
    assert describer.peer(stranger) == f"stranger {stranger[:4].hex()}"
    assert "node" not in describer.batch(_batch(world).raw)


def test_logs_of_an_author_get_letters_as_they_come(said: tuple[World, Diary, bytes]) -> None:
    """The same log keeps its own; a branch is told beside it."""
    world, _diary, _raw = said
    describer, (ann, ben) = Describer(world), (node.peer for node in world.nodes)
    assert [describer.log(ann, log) for log in (70, 3, 70)] == ["node0/a", "node0/b", "node0/a"]
    assert describer.log(ben, 3) == "node1/a"
    assert describer.log(ann, 3, b"\xab\xcd" + bytes(6)) == "node0/b:abcd"
    names = [describer.log(ann, 1_000 + log) for log in range(30)]
    assert names[23:26] == ["node0/z", "node0/aa", "node0/ab"]


def test_a_frame_is_told_behind_what_carries_it(said: tuple[World, Diary, bytes]) -> None:
    """With its fields; the bytes themselves are not."""
    world, _diary, raw = said
    describer, room = Describer(world), world.room("lobby")
    line = describer.line(PublishFeed(room=room, payload=encode(Push(batch=raw))))
    assert line.startswith("PublishFeed room=lobby | Push")
    assert "'good morning'" in line and "payload" not in line
    ping = Send(peer=world.nodes[1].peer, payload=encode(Ping(token=7, wall_ms=5)), outbound=True)
    assert describer.line(ping) == "Send peer=node1 outbound=True | Ping token=7 wall_ms=5"
    assert frame_of(JoinRoom(room=room, name="x")) is None


def test_writes_are_told_in_a_few_words(said: tuple[World, Diary, bytes]) -> None:
    """An arrival, a frontier, a row, a batch that is dropped."""
    world, _diary, _raw = said
    describer, room, key = Describer(world), world.room("lobby"), LogKey(world.nodes[0].peer, 9)
    writes = (
        PutArrival(room, 4, key, 5, 7, 7, True, False),
        PutFrontier(room, key, b"x"),
        PutRow("rooms", room, b"x"),
        DropBatch(room, key, 5, 7, 1),
    )
    assert describer.line(Store(token=1, writes=writes)) == (
        "Store token=1 writes=(arrival 4 node0/a[5,7) frontier node0/a row rooms drop node0/a[5,7))"
    )


def test_a_long_text_is_cut() -> None:
    """A line stays a line."""
    world, _diary = small_world(nodes=2, seconds=0.0)
    line = Describer(world).batch(_batch(world, 100 * "x").raw)
    assert line.endswith(f"'{(TEXT_CHARACTERS_MAX - 1) * 'x'}…'")


def test_what_speaks_of_a_message_is_found(said: tuple[World, Diary, bytes]) -> None:
    """Its batch, an acknowledgement that covers it, its delivery, what is stored of it; not what is beside it."""
    world, diary, raw = said
    describer, message = Describer(world), diary.message("good morning")
    room, key, number = world.room("lobby"), LogKey(*message[:2]), message.number
    peer = world.nodes[1].peer

    def have(end: int, author: PeerId = key.author) -> Fact:
        frame = Have(room=room, holder=peer, entries=(HaveEntry(author, key.log, key.branch, end),))
        return FrameReceived(peer=peer, payload=encode(frame), inbound=True)

    row = PutArrival(room, 0, key, number, number + 1, number + 1, True, False)
    speaking: list[Fact | Effect] = [
        RangeLoaded(token=1, batches=(raw,)),
        have(number + 1),
        Deliver(arrival=row, raw=None),
        Store(token=1, writes=(PutBatch(room, key, number, number + 1, 5, raw),)),
        OwnStored(room=room, log=key.log, first=number, end=number + 1),
    ]
    assert [describer.mentions(what, message) for what in speaking] == [True] * len(speaking)
    beside = MessageId(*message[:2], number + 1, bytes(8))
    silent: list[tuple[Fact | Effect, MessageId]] = [
        *((what, beside) for what in speaking),
        (have(number), message),
        (have(number + 1, peer), message),
        (JoinRoom(room=room, name="lobby"), message),
    ]
    assert not any(describer.mentions(what, wanted) for what, wanted in silent)
    assert list(batches_of(speaking[3])) == [raw]
    assert process_of(world, 0).peer == message.author
