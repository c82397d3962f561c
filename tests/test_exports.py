"""The public API is what `zmqchat` lists: these names are a promise."""

from __future__ import annotations

import inspect
import subprocess
import sys

import zmqchat
import zmqchat.sync
from tests.support.sources import REPO
from zmqchat.model import errors

CALLS = {
    "Node", "Room", "Message", "Gap", "Block", "Sent", "Posting", "Peer", "Member", "Config", "MessageId", "PeerId",
    "PeerOnline", "PeerOffline", "MemberJoined", "MemberLeft", "DuplicateIdentity", "NoticeGiven",
    "MeshNode", "MeshView",
    "parse_message_id", "parse_peer_id", "peer_short", "peer_text",
}  # fmt: skip
ROOM = {"post", "send", "send_all", "send_app", "wait", "messages", "history", "members"}
SYNC = {"Node", "Room", "Posting", "Messages", "Client", "Server"}
HEAVY = ("zmq", "lmdb", "zeroconf", "nacl", "prompt_toolkit", "rich", "click")


def test_zmqchat_lists_what_is_promised() -> None:
    """The names of the design, and every error that a caller may catch."""
    tree = {
        name for name, value in vars(errors).items() if inspect.isclass(value) and value.__module__ == errors.__name__
    }
    assert set(zmqchat.__all__) == CALLS | tree | {"__version__"}


def test_sync_lists_what_is_promised() -> None:
    """The blocking form has the same Node, and the pair of the first tutorial."""
    own = {name for name, value in vars(zmqchat.sync).items() if inspect.isclass(value) and is_own(value)}
    assert {name for name in own if not name.startswith("_")} == SYNC


def test_every_listed_name_is_there() -> None:
    """Lazy exports resolve, and `dir` shows them."""
    for name in zmqchat.__all__:
        assert getattr(zmqchat, name) is not None
        assert name in dir(zmqchat)


def test_every_public_name_has_its_contract() -> None:
    """Classes and functions have docstrings that say what they promise."""
    for module, names in ((zmqchat, zmqchat.__all__), (zmqchat.sync, SYNC)):
        for name in names:
            value = getattr(module, name)
            assert isinstance(value, str) or inspect.getdoc(value), name


def test_blocking_names_are_the_asynchronous_ones() -> None:
    """What a Node can do, its blocking form can do under the same name; so a Room, in what is promised of it."""
    public = {name for name in dir(zmqchat.Node) if not name.startswith("_")}
    assert public - set(dir(zmqchat.sync.Node)) == set()
    assert set(dir(zmqchat.sync.Room)) & set(dir(zmqchat.Room)) >= ROOM


def test_importing_zmqchat_stays_light() -> None:
    """`import zmqchat` loads no socket, store, discovery or terminal library."""
    program = f"import sys, zmqchat; print([name for name in {HEAVY!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], cwd=REPO, text=True, capture_output=True, check=True)
    assert result.stdout.strip() == "[]"


def test_an_unknown_name_is_an_attribute_error() -> None:
    """Lazy exports do not hide a misspelling."""
    assert not hasattr(zmqchat, "Nodes")


def is_own(value: type) -> bool:
    """Whether `zmqchat.sync` defines it."""
    return value.__module__ == "zmqchat.sync"
