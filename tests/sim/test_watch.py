"""Who tells the checkers: all of them, by the names of rooms, and each until it has complained."""

from __future__ import annotations

from typing import Any

from tests.support.simworlds import Call, Diary, small_world
from zmqchat.model.ids import LogKey, MessageId
from zmqchat.sim.author import lobby, peer_of
from zmqchat.sim.checkers.base import Base
from zmqchat.sim.checks import CheckFailed
from zmqchat.sim.watch import Watch

MESSAGE = MessageId(peer_of("ann"), 1, 2, bytes(8))


class Grumbler(Base):
    """Complains of the first text that it is told of."""

    name = "grumbler"

    def __init__(self) -> None:
        self.asked = 0

    def delivered(self, node: int, room: str, message: MessageId, text: str) -> None:
        """Complain."""
        self.asked += 1
        raise CheckFailed(f"I don't like {text}")


def _watch(*checkers: Any) -> Watch:
    watch = Watch(checkers, None)
    watch.rooms[lobby()] = "lobby"
    return watch


def test_every_checker_is_told_everything_with_the_name_of_the_room() -> None:
    """Each call reaches each of them, in order."""
    diaries = (Diary(), Diary())
    watch = _watch(*diaries)
    key = LogKey(*MESSAGE[:2])
    watch.acknowledged(1, lobby(), MESSAGE, "x")
    watch.delivered(2, lobby(), MESSAGE, "x")
    watch.missed(2, lobby(), key, 3, 4)
    watch.rewound(1)
    expected: list[Call] = [
        ("acknowledged", (1, "lobby", MESSAGE, "x")),
        ("delivered", (2, "lobby", MESSAGE, "x")),
        ("missed", (2, "lobby", key, 3, 4)),
        ("rewound", (1,)),
    ]
    assert [diary.calls for diary in diaries] == [expected, expected]
    assert watch.failed == []


def test_time_and_the_end_are_told_with_the_world() -> None:
    """A checker looks at it itself."""
    seen: list[tuple[str, object]] = []

    class Looker(Base):
        name = "looker"

        def step(self, world: object) -> None:
            seen.append(("step", world))

        def quiet(self, world: object) -> None:
            seen.append(("quiet", world))

    world, _diary = small_world(nodes=2, seconds=0.0)
    watch = _watch(Looker())
    watch.step(world)
    watch.quiet(world)
    assert seen == [("step", world), ("quiet", world)]


def test_who_has_complained_is_asked_no_more_and_the_others_are() -> None:
    """One line a checker says what was wrong first."""
    grumbler, diary = Grumbler(), Diary()
    watch = _watch(grumbler, diary)
    for text in ("tea", "coffee"):
        watch.delivered(0, lobby(), MESSAGE, text)
    assert watch.failed == ["grumbler: I don't like tea"]
    assert grumbler.asked == 1
    assert len(diary.calls) == 2


def test_what_a_muted_node_sees_no_checker_is_told() -> None:
    """It knows the rooms, also those that come later."""
    diary = Diary()
    watch = _watch(diary)
    muted = watch.muted()
    watch.rooms[lobby("kitchen")] = "kitchen"
    for room in (lobby(), lobby("kitchen")):
        muted.delivered(0, room, MESSAGE, "x")
    assert diary.calls == []
