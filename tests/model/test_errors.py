"""The tree of errors: one root, leaves that carry data and build a text that says what to do."""

from __future__ import annotations

import inspect
import re

import pytest

from zmqchat.model import errors
from zmqchat.model.ids import MessageId, PeerId
from zmqchat.node.values import Peer

ALL = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, errors.ZmqChatError)]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_is_drawn_in_the_tree(kind: type[errors.ZmqChatError]) -> None:
    """The docstring of the module shows the tree that is there."""
    assert re.search(rf"\b{kind.__name__}\b", errors.__doc__ or "")


def test_nothing_is_drawn_that_is_not_there() -> None:
    """Every name in the drawing is a class, or a word of its explanation."""
    names = re.findall(r"(?:── |, |│   )([A-Z]\w+)", (errors.__doc__ or "").split("\n\n")[1])
    assert set(names) <= {kind.__name__ for kind in ALL}


@pytest.mark.parametrize(
    ("error", "fragments"),
    [
        (errors.BadPeerId("x" * 200), ("whoami", "x" * 80)),
        (errors.BadRoomName(""), ("1 to 128",)),
        (errors.BadName("\n"), ("1 to 32",)),
        (errors.BadAddress("nowhere"), ("'nowhere'", "HOST:PORT", "192.168.1.7:42100")),
        (errors.BadCursor("later"), ("'later'", "'start'")),
        (errors.MessageTooLarge(70_000, 65_536), ("70,000", "65,536", "split")),
        (errors.StoreFull("/data"), ("/data", "free some")),
        (errors.HomeInUse("/home", 42), ("/home", "process 42", "--home")),
        (errors.HomeInUse("/home", None), ("another process",)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_says_what_and_what_to_do(error: errors.ZmqChatError, fragments: tuple[str, ...]) -> None:
    """One line, never more, that holds the values."""
    for fragment in fragments:
        assert fragment in str(error)
    assert "\n" not in str(error)


def people(names: str) -> list[Peer]:
    """A peer for each letter."""
    return [Peer(PeerId(name.encode() * 32), name) for name in names]


def test_a_time_out_tells_who_has_it() -> None:
    """The message stays sent, so its id and the people come along."""
    message = MessageId(PeerId(bytes(32)), 1, 2, bytes(8))
    error = errors.DeliveryTimeout(message, "delivered", 2.5, people("a"), people("b"))
    assert (error.message, [peer.name for peer in (*error.delivered, *error.pending)]) == (message, ["a", "b"])
    assert "not delivered within 2.5 s (it has reached a, not yet b)" in str(error)


def test_a_time_out_with_nobody_there_names_nobody_once() -> None:
    """Where no member is live there is nobody of whom it waits for more."""
    message = MessageId(PeerId(bytes(32)), 1, 2, bytes(8))
    assert "(it has reached nobody);" in str(errors.DeliveryTimeout(message, "held", 1.0, [], []))


def test_a_time_out_calls_people_by_name() -> None:
    """A few are named, the rest counted."""
    message = MessageId(PeerId(bytes(32)), 1, 2, bytes(8))
    error = errors.DeliveryTimeout(message, "held", 1.0, people("a"), people("bcdefgh"))
    assert "(it has reached a, not yet b, c, d, e, f and 2 more)" in str(error)


def test_usage_errors_are_value_errors_too() -> None:
    """Who catches ValueError around a call catches ours."""
    assert issubclass(errors.UsageError, ValueError)
    assert not issubclass(errors.NotStored, ValueError)
