"""What faces show as plain JSON values."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import cast

from tests.support.fakenode import FakeMessage, FakeRoom, peer_id
from zmqchat.model.ids import peer_text
from zmqchat.node.message import Gap, Message
from zmqchat.node.records import (
    HOLDERS_TOLD_MAX,
    gap_record,
    jsonable,
    message_record,
    peer_record,
    rfc3339,
    sent_record,
)
from zmqchat.node.room import Room
from zmqchat.node.values import Peer, Receipts

BOB = Peer(peer_id("b"), "bob", True, "10.0.0.2:42100")


def fake_room() -> FakeRoom:
    """A room that only has a name."""
    room = FakeRoom.__new__(FakeRoom)
    room.name = "lobby"
    return room


def test_any_payload_of_an_app_can_be_printed() -> None:
    """Bytes, infinities, odd keys and nested values become JSON, and nothing raises."""
    value = {b"k": [b"\x00\xff", float("inf"), float("nan")], 1: {"deep": (None, True, 2.5)}, "s": {"a"}, "o": object}
    shown = jsonable(value)
    assert json.loads(json.dumps(shown, allow_nan=False))["1"] == {"deep": [None, True, 2.5]}
    assert isinstance(shown, dict)
    assert shown["b'k'"] == ["AP8=", "inf", "nan"]


def test_moments_are_rfc_3339_with_an_offset() -> None:
    """Every Python that we support reads it back."""
    moment = datetime(2026, 1, 2, 3, 4, 5, 6789, tzinfo=timezone.utc)
    assert rfc3339(moment) == "2026-01-02T03:04:05.006+00:00"
    assert datetime.fromisoformat(rfc3339(moment)).tzinfo is not None


def test_an_app_message_has_its_payload_behind_what_all_have() -> None:
    """text is null, content type and value follow."""
    message = FakeMessage(fake_room(), BOB, None, 1, "app")
    message.content_type, message.value = "sensor/1", {"t": 21.5}
    record = message_record(cast("Message", message))
    assert list(record) == ["id", "room", "author", "name", "sent_at", "kind", "text", "content_type", "value"]
    assert (record["text"], record["value"]) == (None, {"t": 21.5})


def test_a_sent_message_names_its_holders_behind_the_rest() -> None:
    """Members first, then keepers, each told apart, and no more than a line should hold."""
    message = cast("Message", FakeMessage(fake_room(), BOB, "hi", 1))
    kim = Peer(peer_id("k"), "kim")
    record = sent_record(message, Receipts(delivered=(BOB,), pending=(kim,), keepers=(kim,)))
    assert record == {
        **message_record(message),
        "held": [
            {"id": peer_text(BOB.id), "name": "bob", "keeper": False},
            {"id": peer_text(kim.id), "name": "kim", "keeper": True},
        ],
    }
    assert list(record)[-1] == "held"
    assert sent_record(message, Receipts())["held"] == []
    assert len(sent_record(message, Receipts(delivered=(BOB,) * 1_000))["held"]) == HOLDERS_TOLD_MAX


def test_a_gap_tells_whose_and_who_may_have_it() -> None:
    """The numbers are half open, holders go by name."""

    class Holders:
        """A room whose peers may have it."""

        name = "lobby"

        def peers(self) -> list[Peer]:
            """One peer."""
            return [BOB]

    gap = Gap(cast("Room", Holders()), BOB, 3, 7, 12)
    assert gap_record(gap) == {
        "room": "lobby",
        "author": peer_text(BOB.id),
        "name": "bob",
        "first": 3,
        "end": 7,
        "holders": ["bob"],
    }


def test_a_peer_has_all_that_doctor_shows() -> None:
    """Unknown measures are null."""
    record = peer_record(BOB)
    assert record["address"] == "10.0.0.2:42100"
    assert record["rtt_s"] is None
