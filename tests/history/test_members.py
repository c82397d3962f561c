"""Members and names fold the same from events in any order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqchat.history import members
from zmqchat.history.members import NAMES_MAX, Member, NameBook
from zmqchat.model.events import MemberAction
from zmqchat.model.ids import PeerId
from zmqchat.model.limits import NAME_BYTES_MAX

ANN, BOB = PeerId(b"a" * 32), PeerId(b"b" * 32)

events = st.tuples(st.sampled_from([ANN, BOB]), st.integers(0, 60), st.one_of(st.integers(0, 4), st.text(max_size=3)))


def fold(said: list[tuple[PeerId, int, int | str]]) -> NameBook:
    """A book that took note of these events in this order."""
    book = NameBook()
    for author, hlc, what in said:
        if isinstance(what, str):
            book.note_name(author, what, hlc)
        else:
            book.note_action(author, what, hlc)
    return book


@given(said=st.lists(events, max_size=80), data=st.data())
def test_any_order_and_repetition_gives_the_same_fold(
    said: list[tuple[PeerId, int, int | str]], data: st.DataObject
) -> None:
    """Shuffled and partly repeated events give the same members and names."""
    again = data.draw(st.permutations(said)) + data.draw(st.lists(st.sampled_from(said))) if said else []
    assert sorted(fold(said).items()) == sorted(fold(again).items())


@given(said=st.lists(events, max_size=50))
def test_rows_survive_packing(said: list[tuple[PeerId, int, int | str]]) -> None:
    """What is packed is what is unpacked; cut short or lengthened it is damaged."""
    for author, member in fold(said).items():
        row = member.pack()
        book = NameBook()
        unpacked = Member.unpack(row)
        assert unpacked == member
        book.put(author, unpacked)
        assert book[author] == member
        assert Member.unpack(row + b"x") is None and Member.unpack(b"\xff" + row[1:]) is None


@given(raw=st.binary(max_size=60))
def test_unpacking_never_raises(raw: bytes) -> None:
    """Any bytes are a member or None."""
    unpacked = Member.unpack(raw)
    assert unpacked is None or isinstance(unpacked, Member)


def test_a_damaged_name_is_no_member() -> None:
    """A row whose name is no UTF-8 is damaged."""
    row = Member(names=(members.NameAt(1, "ab"),)).pack()
    assert Member.unpack(row[:-1] + b"\xff") is None
    assert Member.unpack(row[:-3]) is None


def test_the_newest_action_counts() -> None:
    """Leaving after joining leaves, whichever is heard of first; joining again joins."""
    book = fold([(ANN, 20, MemberAction.LEAVE), (ANN, 10, MemberAction.JOIN), (BOB, 5, MemberAction.JOIN)])
    assert book.members() == [BOB] and not book[ANN].is_in
    assert book.note_action(ANN, MemberAction.JOIN, 30)
    assert not book.note_action(ANN, MemberAction.JOIN, 30)
    assert book.members() == [ANN, BOB]
    assert not book.note_action(ANN, 77, 40), "an action of a newer version changes nothing"


def test_names_go_with_their_time() -> None:
    """Whoever reads an old text sees the name that its author had then."""
    book = fold([(ANN, 20, "Anna"), (ANN, 10, "Ann")])
    assert [book[ANN].name_at(hlc) for hlc in (5, 10, 19, 20, 99)] == ["Ann", "Ann", "Ann", "Anna", "Anna"]
    assert book[ANN].name == "Anna"
    assert book[BOB].name is None and book[BOB].name_at(5) is None


def test_names_are_bounded() -> None:
    """Only the newest are kept, an over-long one is not, and neither changes the members."""
    book = fold([(ANN, hlc, f"n{hlc}") for hlc in range(3 * NAMES_MAX)])
    assert len(book[ANN].names) == NAMES_MAX and book[ANN].name == f"n{3 * NAMES_MAX - 1}"
    assert not book.note_name(ANN, "old", 1)
    assert not book.note_name(ANN, "é" * NAME_BYTES_MAX, 10**6)
    assert book.members() == []


def test_a_room_remembers_a_bounded_number_of_people(monkeypatch: pytest.MonkeyPatch) -> None:
    """Identities are free; one more is not taken up, and those known still change."""
    monkeypatch.setattr(members, "MEMBERS_PER_ROOM_MAX", 1)
    book = fold([(ANN, 1, MemberAction.JOIN), (BOB, 1, MemberAction.JOIN)])
    assert len(book) == 1 and book.members() == [ANN]
    assert book.note_name(ANN, "Ann", 2)
