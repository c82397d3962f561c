"""Each checker of messages is silent on the history of a good run, and complains where one thing in it is changed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.simworlds import Call, Diary, complaint, cut_off, passes, say_all, small_world, within
from zmqchat.model.ids import LogKey, MessageId
from zmqchat.protocol.effects import DropBatch
from zmqchat.sim.checkers.messages import AuthorOrder, Complete, Durable, Faithful, Once
from zmqchat.sim.checks import Checker
from zmqchat.sim.world import World

TEXTS = tuple(f"text {number}" for number in range(6))
LOBBY = "lobby"

Talk = tuple[World, Diary]


@pytest.fixture(scope="module")
def talk() -> Talk:
    """Three nodes that said two texts each; nobody changes this world."""
    world, diary = small_world()
    say_all(world, *TEXTS)
    return world, diary


def _without(calls: list[Call], *places: int) -> list[Call]:
    return [call for at, call in enumerate(calls) if at not in places]


@pytest.mark.parametrize("checker_type", [Once, Faithful, Complete, Durable, AuthorOrder])
def test_a_good_run_is_not_complained_of(talk: Talk, checker_type: Callable[[], Checker]) -> None:
    """Everything came to all, once, in order, and is on all disks."""
    world, diary = talk
    assert len(diary.calls) == len(TEXTS) * (1 + 3)
    assert complaint(checker_type(), diary.calls, world) == ""


def test_once_finds_a_message_that_came_twice(talk: Talk) -> None:
    """At the same node; the same message at another node is another thing."""
    world, diary = talk
    again = diary.calls[diary.where("delivered", 1, "text 3")]
    assert "node 1 was given" in complaint(Once(), [*diary.calls, again], world)
    assert complaint(Once(), [*diary.calls, ("rewound", (1,)), again], world) == ""
    assert "twice" in complaint(Once(), [*diary.calls, ("rewound", (0,)), again], world)


def test_faithful_finds_another_text_under_an_id(talk: Talk) -> None:
    """Whether a reader sees another one than was said, or than another reader."""
    world, diary = talk
    said, given = diary.message("text 3"), ("delivered", (2, LOBBY, diary.message("text 3"), "text 4"))
    assert "others see 'text 3'" in complaint(Faithful(), [*diary.calls, given], world)
    readers: list[Call] = [("delivered", (node, LOBBY, said, text)) for node, text in ((0, "one"), (1, "two"))]
    assert "node 1 sees 'two'" in complaint(Faithful(), readers)
    readers[1] = ("delivered", (1, "kitchen", said, "two"))
    assert complaint(Faithful(), readers) == ""


def test_complete_finds_what_one_member_was_never_given(talk: Talk) -> None:
    """An acknowledged text, and one that its author never heard the end of, but somebody was given."""
    world, diary = talk
    lost = diary.where("delivered", 2, "text 3")
    assert "node 2 was never given 1 of 6 messages" in complaint(Complete(), _without(diary.calls, lost), world)
    unheard = diary.where("acknowledged", 0, "text 3")
    assert "node 2 was never given" in complaint(Complete(), _without(diary.calls, unheard, lost), world)
    nowhere = [diary.where("delivered", node, "text 3") for node in range(3)]
    assert "was never given" in complaint(Complete(), _without(diary.calls, *nowhere), world)
    assert complaint(Complete(), _without(diary.calls, unheard, *nowhere), world) == ""


def test_complete_awaits_nothing_of_whom_a_backup_or_the_door_took_away(talk: Talk) -> None:
    """What only a rewound node had is gone with its disk; what any other was given must still come to all."""
    world, diary = talk
    ghost = MessageId(world.nodes[1].peer, 9, 0, bytes(8))
    only_there: list[Call] = [*diary.calls, ("acknowledged", (1, LOBBY, ghost, "x"))]
    assert "was never given" in complaint(Complete(), only_there, world)
    assert complaint(Complete(), [*only_there, ("rewound", (1,))], world) == ""
    given: list[Call] = [*only_there, ("rewound", (1,)), ("delivered", (0, LOBBY, ghost, "x"))]
    assert "node 1 was never given" in complaint(Complete(), given, world)


def test_complete_awaits_nothing_of_who_has_left_the_room() -> None:
    """He took along what he said last, unless a member was given it."""
    world, diary = small_world()
    cut_off(world, 2)
    world.say(2, LOBBY, "last words")
    passes(world, 0.5)
    world.leave(2, LOBBY)
    passes(world, 0.5)
    assert diary.message("last words").author == world.nodes[2].peer
    assert complaint(Complete(), diary.calls, world) == ""
    given: Call = ("delivered", (0, LOBBY, diary.message("last words"), "last words"))
    assert "node 1 was never given" in complaint(Complete(), [*diary.calls, given], world)


def test_durable_finds_what_is_on_the_disk_no_more() -> None:
    """Where it was acknowledged and where it was given; a backup excuses its own node only."""
    world, diary = small_world()
    say_all(world, "kept", "lost")
    message, disk = diary.message("lost"), world.nodes[2].disk
    assert complaint(Durable(), diary.calls, world) == ""
    key = LogKey(message.author, message.log)
    disk.write([DropBatch(world.room(LOBBY), key, message.number, message.number + 1, 0)])
    assert "node 2 has lost 1 messages in lobby" in complaint(Durable(), diary.calls, world)
    assert complaint(Durable(), [*diary.calls, ("rewound", (2,))], world) == ""
    assert "node 2 has lost" in complaint(Durable(), [*diary.calls, ("rewound", (1,))], world)
    ghost: Call = ("acknowledged", (0, LOBBY, message._replace(number=99), "never written"))
    assert "node 0 has lost" in complaint(Durable(), [ghost, ("rewound", (2,))], world)


def test_durable_looks_at_the_disks_of_nodes_that_are_down() -> None:
    """What was promised must be there when they start again."""
    world, diary = small_world()
    say_all(world, "text")
    message = diary.message("text")
    world.kill(1)
    assert complaint(Durable(), diary.calls, world) == ""
    key = LogKey(message.author, message.log)
    world.nodes[1].disk.write([DropBatch(world.room(LOBBY), key, message.number, message.number + 1, 0)])
    assert "node 1 has lost" in complaint(Durable(), diary.calls, world)


def test_order_finds_an_earlier_text_behind_a_later_one(talk: Talk) -> None:
    """Of one author at one node; unless the node told of a gap there, or its cursors began anew."""
    world, diary = talk
    first, later = (diary.where("delivered", 2, text) for text in ("text 0", "text 3"))
    swapped = list(diary.calls)
    swapped[first], swapped[later] = swapped[later], swapped[first]
    assert "after later ones of its author" in complaint(AuthorOrder(), swapped, world)
    message = diary.message("text 0")
    key, number = LogKey(message.author, message.log), message.number
    for (start, end), is_excused in {(number, number + 1): True, (number + 1, number + 2): False}.items():
        gap: Call = ("missed", (2, LOBBY, key, start, end))
        assert (complaint(AuthorOrder(), [gap, *swapped], world) == "") == is_excused
    other_node: Call = ("missed", (1, LOBBY, key, number, number + 1))
    assert complaint(AuthorOrder(), [other_node, *swapped], world) != ""
    assert complaint(AuthorOrder(), [*diary.calls, ("rewound", (2,)), diary.calls[first]], world) == ""


def test_order_does_not_ask_for_one_order_of_a_forked_log() -> None:
    """Two histories share numbers, so each may stand behind the other."""
    world, diary = small_world(nodes=2)
    backup = world.snapshot(0)
    say_all(world, "before")
    message = diary.message("before")
    cut_off(world, 0)
    world.restore(0, backup, noticed=False)
    world.restart(0)
    passes(world, 1.0)
    assert world.say(0, LOBBY, "instead")
    passes(world, 0.5)
    world.heal()
    room = world.room(LOBBY)

    def is_forked() -> bool:
        process = world.nodes[1].process
        return process is not None and process.machines.data.ledger.rooms[room].frontier.is_forked(*message[:2])

    within(world, is_forked, 60.0)
    again: list[Call] = [("delivered", (1, LOBBY, message._replace(number=number), "x")) for number in (5, 4)]
    assert complaint(AuthorOrder(), again, world) == ""
    other = LogKey(world.nodes[1].peer, 1)
    straight: list[Call] = [
        ("delivered", (1, LOBBY, MessageId(*other[:2], number, bytes(8)), "x")) for number in (5, 4)
    ]
    assert "after later ones" in complaint(AuthorOrder(), straight, world)
