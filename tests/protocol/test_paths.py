"""The links towards authors: the newest batch shows them, others are kept in reserve."""

from __future__ import annotations

from tests.support.fakelink import lobby, peer_of
from zmqchat.model.ids import PeerId
from zmqchat.model.limits import TREE_PATHS_MAX
from zmqchat.protocol.paths import RESERVE_MAX, Paths
from zmqchat.protocol.relayed import Seen

ANN, BOB, CAT, DAN = (peer_of(name) for name in ("ann", "bob", "cat", "dan"))


def batch(author: PeerId = ANN, log: int = 1) -> Seen:
    """A batch of this author."""
    return Seen(lobby(), author, log, BOB, 1, 0.0)


def test_the_newest_batch_shows_the_way() -> None:
    """By author and log; nothing is known of others."""
    paths = Paths()
    paths.came((lobby(), ANN, 1), BOB)
    assert paths.towards(lobby(), ANN, 1) == BOB
    assert paths.towards(lobby(), ANN, 2) is None and paths.towards(lobby("other"), ANN, 1) is None
    paths.came((lobby(), ANN, 1), CAT)
    assert paths.towards(lobby(), ANN, 1) == CAT


def test_who_has_it_too_takes_over() -> None:
    """When the link goes, one in reserve leads on; when all are gone, none does."""
    paths = Paths()
    paths.also(batch(), CAT, 1)
    paths.came((lobby(), ANN, 1), BOB)
    for peer, hops in ((BOB, 1), (CAT, 3), (DAN, 2)):
        paths.also(batch(), peer, hops)
    paths.unlink(BOB)
    assert paths.towards(lobby(), ANN, 1) == DAN, "it is nearer to the author"
    paths.unlink(DAN)
    assert paths.towards(lobby(), ANN, 1) == CAT
    paths.unlink(CAT)
    assert paths.towards(lobby(), ANN, 1) is None
    paths.also(batch(), CAT, 1)
    assert paths.towards(lobby(), ANN, 1) == CAT


def test_paths_and_reserves_are_bounded() -> None:
    """The log that was heard of least recently is forgotten."""
    paths = Paths()
    for log in range(TREE_PATHS_MAX + 5):
        paths.came((lobby(), ANN, log), BOB)
        (size,) = paths.sizes()
        assert size.kept <= size.most
    assert paths.towards(lobby(), ANN, 0) is None and paths.towards(lobby(), ANN, TREE_PATHS_MAX + 4) == BOB
    for index in range(20):
        paths.also(batch(log=100), peer_of(str(index)), 1)
    assert len(paths._paths[(lobby(), ANN, 100)].reserve) == RESERVE_MAX
