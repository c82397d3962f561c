"""Sessions: one a peer, found by peer and by the number in a user id."""

from __future__ import annotations

import pytest

from zmqchat.model.ids import PeerId
from zmqchat.net.sessions import Sessions

ANN = PeerId(b"a" * 32)
BOB = PeerId(b"b" * 32)


def test_session_is_found_until_it_ends() -> None:
    """A peer's next session has another number, so that the old one's connections find nothing."""
    sessions = Sessions()
    first = sessions.begin(ANN, b"key")
    assert sessions.of_peer(ANN) is sessions.of_user(f"{first.number:x}.1f") is first
    assert sessions.end(ANN) is first
    assert sessions.end(ANN) is None
    second = sessions.begin(ANN, b"key")
    assert sessions.of_user(f"{first.number:x}.1f") is None
    assert sessions.of_user(f"{second.number:x}.20") is second
    assert len(sessions) == 1
    assert sessions.of_peer(BOB) is None


@pytest.mark.parametrize("user", ["", ".", "zz.1", "ffff.1", "-1.1", "é", "1" * 5_000])
def test_strange_user_ids_find_nothing(user: str) -> None:
    """Whatever stands in a user id, the answer is no session."""
    sessions = Sessions()
    sessions.begin(ANN, b"key")
    assert sessions.of_user(user) is None
