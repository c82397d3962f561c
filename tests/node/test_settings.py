"""Settings: what the caller says comes before the config file, and that before what goes without saying."""

from __future__ import annotations

import pytest

from zmqchat.model.addresses import Address, parse_address
from zmqchat.model.config import Config
from zmqchat.model.errors import BadAddress, UsageError
from zmqchat.node.home import HomeConfig
from zmqchat.node.settings import DEFAULT_MESH, Settings

HERE, THERE = "10.0.0.1:42100", "10.0.0.2:42100"


def addresses(*texts: str) -> tuple[Address, ...]:
    """Parsed."""
    return tuple(map(parse_address, texts))


def test_nothing_said_anywhere() -> None:
    """The open mesh, discovery on, all interfaces."""
    whole = Settings(config=Config()).completed(HomeConfig())
    assert whole.told() == {"mesh": DEFAULT_MESH, "listen": None, "interfaces": [], "discovery": True}
    assert (whole.name, whole.peers) == (None, ())


def test_the_file_fills_what_was_left_open() -> None:
    """Every setting of it."""
    file = HomeConfig(name="ann", mesh="m", listen="h:1", peers=(HERE,), interfaces=("lo",), discovery=False)
    whole = Settings(config=Config()).completed(file)
    assert whole.told() == {"mesh": "m", "listen": "h:1", "interfaces": ["lo"], "discovery": False}
    assert (whole.name, whole.peers) == ("ann", addresses(HERE))


def test_the_caller_wins_and_peers_come_from_both() -> None:
    """Also with what is the default, and no peer is named twice."""
    file = HomeConfig(name="ann", mesh="m", listen="h:1", peers=(HERE, THERE), interfaces=("lo",), discovery=False)
    said = Settings(
        config=Config(),
        name="bob",
        mesh=DEFAULT_MESH,
        listen="h:2",
        peers=addresses(THERE),
        interfaces=("eth0",),
        discovery=True,
    )
    whole = said.completed(file)
    assert whole.told() == {"mesh": DEFAULT_MESH, "listen": "h:2", "interfaces": ["eth0"], "discovery": True}
    assert (whole.name, whole.peers) == ("bob", addresses(THERE, HERE))


def test_the_quota_of_the_file_holds_where_the_program_says_nothing_of_it() -> None:
    """A Config with another one wins, and so does one that keeps nothing; 0 keeps nothing."""
    file, nothing = HomeConfig(keeper_mib=64), HomeConfig(keeper_mib=0)
    assert Settings(config=Config(link_dead_s=5.0)).completed(file).config == Config(link_dead_s=5.0, keeper_mib=64.0)
    assert Settings(config=Config()).completed(nothing).config == Config(keeps=False)
    for said in (Config(keeper_mib=8.0), Config(keeps=False)):
        assert Settings(config=said).completed(file).config == said
    assert Settings(config=Config()).completed(HomeConfig()).config == Config()


def test_what_is_empty_was_not_meant() -> None:
    """A script whose variable was not set must neither meet everybody nor listen everywhere."""
    with pytest.raises(UsageError, match="a mesh can't be ''"):
        Settings.of_caller(None, None, "", None, (), None, (), None)
    with pytest.raises(BadAddress):
        Settings.of_caller(None, None, None, "", (), None, (), None)
