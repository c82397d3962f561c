"""A simulated user: hears of what was sent, and reads on where the cursor stood, whatever became of the node."""

from __future__ import annotations

from tests.support.simworlds import Call, Diary
from zmqchat.history.batch import Batch
from zmqchat.model.ids import LogKey, MessageId
from zmqchat.protocol.data_effects import OwnFailed, OwnStored
from zmqchat.protocol.effects import Deliver, PutArrival, PutBatch
from zmqchat.sim.author import Author, lobby, peer_of
from zmqchat.sim.disk import Disk
from zmqchat.sim.reading import Application
from zmqchat.sim.texts import Texts
from zmqchat.sim.watch import Watch

ROOM = lobby()


class User:
    """One at a disk, with a diary of what checkers are told of it."""

    def __init__(self, *, is_watched: bool = True) -> None:
        self.diary = Diary()
        watch = Watch([self.diary], None)
        watch.rooms[ROOM] = "lobby"
        self.application = Application(3, peer_of("me"), watch, Texts(), is_watched=is_watched)
        self.disk = Disk(bytes(16), {})

    def stored(self, number: int, batch: Batch, first: int = 0) -> PutArrival:
        """A batch is durable, and deliverable from this arrival number on."""
        key = LogKey(batch.author, batch.log)
        row = PutArrival(ROOM, number, key, batch.first + first, batch.end, batch.end, True, False)
        self.disk.write([PutBatch(ROOM, key, batch.first, batch.end, batch.sealed_at, batch.raw), row])
        return row

    def read(self) -> list[str]:
        """The texts that the cursor gave."""
        return [call[1][3] for call in self.diary.calls if call[0] == "delivered"]


def _message(number: int) -> MessageId:
    return MessageId(peer_of("me"), 1, number, bytes(8))


def test_send_returns_for_what_is_stored_and_for_nothing_else() -> None:
    """Not for what failed, nor for what waited when the process died; and for each once."""
    user = User()
    user.application.posted(ROOM, [_message(number) for number in range(6)], "text")
    user.application.own_stored(OwnStored(room=ROOM, log=1, first=0, end=2))
    user.application.own_failed(OwnFailed(room=ROOM, log=1, first=2, end=4, full=False, detail=""))
    user.application.own_stored(OwnStored(room=ROOM, log=1, first=0, end=4))
    user.application.died()
    user.application.own_stored(OwnStored(room=ROOM, log=1, first=4, end=6))
    expected: list[Call] = [("acknowledged", (3, "lobby", _message(number), "text")) for number in (0, 1)]
    assert user.diary.calls == expected


def test_a_live_cursor_is_given_each_text_of_its_row_once() -> None:
    """Those numbers of the batch that the row names, and nothing of a row that was read already."""
    user = User()
    batch = Author("ann").batch(("a", "b", "c"))
    row = user.stored(0, batch, first=1)
    for _ in range(2):
        user.application.delivered(Deliver(arrival=row, raw=batch.raw), user.disk)
    assert user.read() == ["b", "c"]
    assert user.diary.calls[0][1][:3] == (3, "lobby", MessageId(batch.author, 1, 1, batch.event_digest8(1)))
    assert user.disk.arrivals[ROOM] == []


def test_after_a_crash_the_cursor_reads_what_it_was_not_given() -> None:
    """From the disk, in order, and nothing that it had."""
    user = User()
    batches = Author("ann").chain(4)
    rows = [user.stored(number, batch) for number, batch in enumerate(batches)]
    for row, batch in zip(rows[:2], batches, strict=False):
        user.application.delivered(Deliver(arrival=row, raw=batch.raw), user.disk)
    user.application.died()
    user.application.resume(user.disk)
    assert user.read() == ["0", "1", "2", "3"]
    user.application.resume(user.disk)
    assert len(user.read()) == 4


def test_a_backup_gives_its_numbers_again() -> None:
    """The cursor begins anew, and the checkers are told so."""
    user = User()
    batch = Author("ann").batch(("old",))
    row = user.stored(0, batch)
    user.application.delivered(Deliver(arrival=row, raw=batch.raw), user.disk)
    user.application.rewound()
    user.application.delivered(Deliver(arrival=row, raw=batch.raw), user.disk)
    assert [call[0] for call in user.diary.calls] == ["delivered", "rewound", "delivered"]


def test_a_gap_is_told_with_what_is_missing() -> None:
    """And takes its own arrival number."""
    user = User()
    key = LogKey(peer_of("ann"), 1)
    gap = PutArrival(ROOM, 0, key, 5, 9, 0, False, False)
    user.disk.write([gap])
    user.application.delivered(Deliver(arrival=gap, raw=None), user.disk)
    assert user.diary.calls == [("missed", (3, "lobby", key, 5, 9))]


def test_of_who_is_not_watched_nobody_is_told_what_it_reads() -> None:
    """What it has sent is told all the same: all others must be given that."""
    user = User(is_watched=False)
    batch = Author("ann").batch(("unseen",))
    row = user.stored(0, batch)
    user.application.delivered(Deliver(arrival=row, raw=batch.raw), user.disk)
    user.application.posted(ROOM, [_message(0)], "text")
    user.application.own_stored(OwnStored(room=ROOM, log=1, first=0, end=1))
    assert [call[0] for call in user.diary.calls] == ["acknowledged"]
