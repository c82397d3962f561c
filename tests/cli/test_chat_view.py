"""What the chat shows is made of `Text` alone: no markup, no escape of others, names told apart."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from zmqchat.cli.chat_view import ChatView, Record

NOW = datetime(2026, 1, 2, 12, 0, tzinfo=timezone.utc)
ANN = "annaannaannaanna"
EVE = "eveeeveeeveeeeve"


def _view() -> tuple[ChatView, list[Text]]:
    shown: list[Text] = []
    return ChatView(shown.append, lambda: NOW), shown


def _message(text: str | None = "hi", name: str = "ann", author: str = ANN, sent_at: datetime = NOW) -> Record:
    return {
        "id": "m",
        "author": author,
        "name": name,
        "kind": "text",
        "text": text,
        "sent_at": sent_at.isoformat(),
    }


def test_a_day_is_separated_once() -> None:
    """The day stands above its first message."""
    view, shown = _view()
    view.message(_message())
    view.message(_message())
    view.message(_message(sent_at=NOW - timedelta(days=3)))
    assert [line.plain.startswith("──") for line in shown] == [True, False, False, True, False]
    assert shown[1].plain.endswith(" ann: hi")


def test_two_who_go_by_one_name_show_their_ids() -> None:
    """Also where the names only look alike; the first line can't know yet."""
    view, shown = _view()
    view.message(_message())
    view.message(_message(name="аnn", author=EVE))
    view.message(_message())
    assert shown[-2].plain.endswith("аnn (evee-evee): hi")
    assert shown[-1].plain.endswith("ann (anna-anna): hi")


def test_a_name_keeps_its_colour() -> None:
    """The colour comes from the key, whatever the name."""
    view, shown = _view()
    view.message(_message())
    view.message(_message(name="somebody else"))
    styles = [str(line.spans[1].style) for line in shown if not line.plain.startswith("──")]
    assert styles[0] == styles[1]


def test_messages_from_a_clock_far_ahead_are_one_line() -> None:
    """What is dated more than a week ahead is folded, however many there are."""
    view, shown = _view()
    for _ in range(3):
        view.message(_message(sent_at=NOW + timedelta(days=400)))
    view.message(_message())
    assert sum("far ahead" in line.plain for line in shown) == 1
    assert shown[-1].plain.endswith("ann: hi")


def test_presence_is_told_for_this_room_alone() -> None:
    """Who joins another room is no news here; notices always are."""
    view, shown = _view()
    view.event({"event": "PeerOnline", "id": ANN, "name": "ann"}, "lobby")
    view.event({"event": "MemberJoined", "id": ANN, "name": "ann", "room": "kitchen"}, "lobby")
    view.event({"event": "NoticeGiven", "text": "disk full\nsoon"}, "lobby")
    assert [line.plain for line in shown] == ["  ann is here", "! disk full soon"]


def test_gaps_say_whose_messages_are_missing() -> None:
    """A gap is a line of the chat, no message."""
    view, shown = _view()
    view.gap({"author": ANN, "name": "ann", "first": 3, "end": 5})
    assert "2 messages of ann are missing" in shown[0].plain


@given(st.text(st.sampled_from("[]/=@:ab \x1b\x9b\r\n\u202e😀"), max_size=40), st.text(max_size=20))
def test_no_text_of_others_is_taken_for_markup(text: str, name: str) -> None:
    """Bracket soup, emoji codes and escapes are shown, not obeyed."""
    view, shown = _view()
    view.message(_message(text=text, name=name))
    view.say(text)
    view.warn(text)
    for line in shown:
        assert isinstance(line, Text)
        assert "\x1b" not in line.plain
        assert "\x9b" not in line.plain
        assert not any("link" in str(span.style) for span in line.spans)
