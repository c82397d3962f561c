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
    "Node", "Room", "Message", "Gap", "Block", "Sent", "Peer", "Member", "Config", "MessageId", "Posting",
    "PeerOnline", "PeerOffline", "MemberJoined", "MemberLeft", "DuplicateIdentity", "NoticeGiven",
}  # fmt: skip
SYNC = {"Node", "Room", "Client", "Server"}
HEAVY = ("zmq", "lmdb", "zeroconf", "nacl", "prompt_toolkit", "rich", "click")


def test_zmqchat_lists_what_is_promised() -> None:
    """The names of the design, and every error that a caller may catch."""
    tree = {
        name for name, value in vars(errors).items() if inspect.isclass(value) and value.__module__ == errors.__name__
    }
    assert set(zmqchat.__all__) == CALLS | tree | {"__version__"}


def test_sync_lists_what_is_promised() -> None:
    """The blocking form has the same Node, and the pair of the first tutorial."""
    assert set(zmqchat.sync.__all__) == SYNC


def test_every_listed_name_is_there() -> None:
    """Lazy exports resolve, and `dir` shows them."""
    for module in (zmqchat, zmqchat.sync):
        for name in module.__all__:
            assert getattr(module, name) is not None
            assert name in dir(module)


def test_every_public_name_has_its_contract() -> None:
    """Classes and functions have docstrings that say what they promise."""
    for module in (zmqchat, zmqchat.sync):
        for name in module.__all__:
            value = getattr(module, name)
            assert isinstance(value, str) or inspect.getdoc(value), name


def test_blocking_names_are_the_asynchronous_ones() -> None:
    """What a Node or Room can do, its blocking form can do under the same name."""
    for plain, blocking in ((zmqchat.Node, zmqchat.sync.Node), (zmqchat.Room, zmqchat.sync.Room)):
        public = {name for name in dir(plain) if not name.startswith("_")}
        assert public - set(dir(blocking)) == set()


def test_importing_zmqchat_stays_light() -> None:
    """`import zmqchat` loads no socket, store, discovery or terminal library."""
    program = f"import sys, zmqchat; print([name for name in {HEAVY!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], cwd=REPO, text=True, capture_output=True, check=True)
    assert result.stdout.strip() == "[]"


def test_an_unknown_name_is_an_attribute_error() -> None:
    """Lazy exports do not hide a misspelling."""
    assert not hasattr(zmqchat, "Nodes")
