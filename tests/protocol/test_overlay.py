"""The overlay of one node: what it answers to whom, and what becomes of its links; then meshes of many."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support.fakelink import peer_of
from zmqchat.model.config import Config
from zmqchat.model.ids import PeerId
from zmqchat.protocol.addressbook import ALL_DIALABLE, Dialable
from zmqchat.protocol.facts import PeerSighted
from zmqchat.protocol.machine import FrameHandler, MeshSwitched, PeerLinked, PeerSlow, Welcomed
from zmqchat.protocol.overlay import WORD_S
from zmqchat.protocol.views import Standing
from zmqchat.sim.overlaynet import PARTIAL_AT_ONCE, OverlayNet, OverlayNode
from zmqchat.wire.frames import Frame, decode, encode
from zmqchat.wire.overlay_frames import (
    Contact,
    ForwardJoin,
    Join,
    Neighbour,
    NeighbourAnswer,
    Part,
    Priority,
    Shuffle,
    ShuffleReply,
)


class Bench:
    """One real node, and peers that a test plays: it says what they send, and sees what they get."""

    def __init__(self, config: Config = PARTIAL_AT_ONCE, members: int = 40) -> None:
        self.net = OverlayNet(config=config)
        self.node = self.net.add()
        self.got: list[tuple[PeerId, Frame]] = []
        self.players = [self.net.add(subnet=number % 5) for number in range(members)]
        for player in self.players:
            player.overlay.facts = {}
            player.overlay.frames = _Recorder(self, player)
        self.net.run(0.1)

    def link(self, number: int, *, dialled: bool = False, features: tuple[str, ...] | None = None) -> PeerId:
        """A link with this player: it dialled us, or we it."""
        player = self.players[number]
        one, other = (self.node, player) if dialled else (player, self.node)
        self.net.link(one, other, features=features)
        self.net.run(0.0)
        return player.peer

    def says(self, peer: PeerId, frame: Frame) -> list[Frame]:
        """What comes back to this player at once."""
        before = len(self.got)
        self.node.receive(peer, frame)
        self.net.run(0.05)
        return [answer for receiver, answer in self.got[before:] if receiver == peer]

    def neighbours(self, count: int) -> list[PeerId]:
        """So many neighbours: players that asked and were accepted."""
        made = []
        for number in range(count):
            peer = self.link(number)
            priority = Priority.NEEDED
            assert self.says(peer, Neighbour(priority=int(priority))) == [NeighbourAnswer(accepted=True)]
            made.append(peer)
        return made

    def standing(self, peer: PeerId) -> Standing | None:
        """What the link with this peer is for."""
        link = self.node.overlay.active.links.get(peer)
        return None if link is None else link.standing


class _Recorder(dict[type[Any], FrameHandler]):
    """Takes every frame that a player gets."""

    def __init__(self, bench: Bench, player: OverlayNode) -> None:
        super().__init__()
        self._bench, self._player = bench, player

    def __missing__(self, kind: type[Any]) -> FrameHandler:
        return lambda _sender, frame, _at: self._bench.got.append((self._player.peer, frame))


def test_in_the_full_mesh_everybody_is_a_neighbour_and_nothing_is_said() -> None:
    """Below the switch no frame of the overlay goes out, and every target and caller is let through."""
    bench = Bench(config=Config())
    peers = {bench.link(number) for number in range(20)}
    bench.net.run(120.0)
    overlay = bench.node.overlay
    assert overlay.neighbours == peers
    assert not overlay.is_partial
    assert bench.got == []
    assert overlay.dialable() == ALL_DIALABLE
    assert overlay.may_accept(peer_of("anybody"))


@pytest.mark.parametrize(
    ("held", "priority", "accepted"),
    [
        (7, Priority.LOW, True),
        (8, Priority.LOW, False),
        (8, Priority.NEEDED, True),
        (12, Priority.NEEDED, False),
        (12, Priority.HIGH, True),
        (12, Priority.VISIT, True),
    ],
)
def test_who_needs_it_more_is_let_in_longer(held: int, priority: Priority, accepted: bool) -> None:
    """LOW up to eight, NEEDED up to twelve, HIGH always, and a visit beside all of them."""
    bench = Bench()
    former = bench.neighbours(held)
    asking = bench.link(20)
    assert bench.says(asking, Neighbour(priority=int(priority))) == [NeighbourAnswer(accepted=accepted)]
    assert (asking in bench.node.overlay.neighbours) is (accepted and priority is not Priority.VISIT)
    parted = [peer for peer, frame in bench.got if frame == Part()]
    assert len(parted) == (1 if held == 12 and priority is Priority.HIGH else 0)
    assert set(parted) <= set(former)


def test_visitors_are_few_and_go_in_the_end() -> None:
    """Four at a time; one that stays for three times as long as a visit lasts is parted from."""
    bench = Bench()
    for number in range(4):
        assert bench.says(bench.link(number), Neighbour(priority=3)) == [NeighbourAnswer(accepted=True)]
    assert bench.says(bench.link(4), Neighbour(priority=3)) == [NeighbourAnswer(accepted=False)]
    bench.net.run(3 * bench.net.config.visit_interval_s + 1)
    parted = {peer for peer, frame in bench.got if frame == Part()}
    assert parted >= {player.peer for player in bench.players[:4]}


def test_a_caller_that_says_nothing_is_taken_or_parted_from() -> None:
    """An older node, or one that still takes the mesh for full, has two seconds and then gets what room there is."""
    bench = Bench()
    peer = bench.link(0)
    assert bench.standing(peer) is Standing.FRESH
    bench.net.run(WORD_S + 0.1)
    assert bench.standing(peer) is Standing.NEIGHBOUR
    full = Bench()
    full.neighbours(12)
    late = full.link(20, features=())
    full.net.run(WORD_S + 0.1)
    assert full.standing(late) is None
    assert (late, Part()) not in full.got


def test_a_first_link_is_joined_by_and_a_wanted_one_is_asked() -> None:
    """Without neighbours JOIN, which needs no answer; with them NEIGHBOUR with the need of the moment."""
    bench = Bench()
    first = bench.link(0, dialled=True)
    second = bench.link(1, dialled=True)
    bench.net.run(0.05)
    assert bench.got == [(first, Join()), (second, Neighbour(priority=int(Priority.NEEDED)))]
    assert (bench.standing(first), bench.standing(second)) == (Standing.NEIGHBOUR, Standing.ASKED)
    bench.says(second, NeighbourAnswer(accepted=False))
    assert bench.standing(second) is None
    assert second in bench.node.overlay.passive


def test_when_both_ask_both_have_it() -> None:
    """Two who dial each other are neighbours, whatever room there is."""
    bench = Bench()
    bench.neighbours(11)
    peer = bench.link(20, dialled=True)
    bench.net.run(0.05)
    assert bench.standing(peer) is Standing.ASKED
    assert bench.says(peer, Neighbour(priority=0)) == [NeighbourAnswer(accepted=True)]
    assert bench.standing(peer) is Standing.NEIGHBOUR


def test_a_join_goes_on_a_walk_from_each_neighbour_once() -> None:
    """The newcomer becomes a neighbour and its contact goes out; a second JOIN over the link changes nothing."""
    bench = Bench()
    former = bench.neighbours(5)
    newcomer = bench.link(20)
    bench.says(newcomer, Join())
    told = Contact(newcomer, (bench.players[20].endpoint,))
    walks = [(peer, frame) for peer, frame in bench.got if isinstance(frame, ForwardJoin)]
    assert walks == [(peer, ForwardJoin(newcomer=told, hops=6)) for peer in former]
    bench.says(newcomer, Join())
    assert len([frame for _peer, frame in bench.got if isinstance(frame, ForwardJoin)]) == 5


def test_the_end_of_a_walk_dials_the_newcomer_and_gives_up_another_link() -> None:
    """With eight links a ninth is made for the newcomer, and when it agrees one of the eight is given up."""
    bench = Bench()
    teller = bench.neighbours(8)[0]
    newcomer = bench.players[20]
    bench.says(teller, ForwardJoin(newcomer=Contact(newcomer.peer, (newcomer.endpoint,)), hops=0))
    assert (newcomer.peer, Neighbour(priority=int(Priority.LOW))) in bench.got
    bench.says(newcomer.peer, NeighbourAnswer(accepted=True))
    assert newcomer.peer in bench.node.overlay.neighbours
    assert len(bench.node.overlay.neighbours) == 8
    assert len([frame for _peer, frame in bench.got if frame == Part()]) == 1


def test_who_is_parted_from_closes_the_link_and_keeps_the_contact() -> None:
    """PART moves a neighbour into the reserve, where it waits before it is asked again."""
    bench = Bench()
    peers = bench.neighbours(7)
    bench.says(peers[0], Part())
    assert bench.standing(peers[0]) is None
    assert peers[0] in bench.node.overlay.passive
    assert bench.node.overlay.passive.pick(bench.net.now_s, (), ()) is None


def test_a_slow_neighbour_loses_its_place() -> None:
    """Whoever is a brake on others is parted from; in the full mesh it stays."""
    bench = Bench()
    peers = bench.neighbours(7)
    bench.node.tell(PeerSlow(peer=peers[3]))
    bench.net.run(0.05)
    assert (peers[3], Part()) in bench.got


def test_a_lost_neighbour_is_replaced_from_the_reserve_at_once() -> None:
    """Below six links the reserve is asked within a second, without waiting for any cycle."""
    bench = Bench()
    peers = bench.neighbours(6)
    bench.net.run(7.0)
    spare = bench.players[30]
    bench.node.overlay.passive.add(Contact(spare.peer, (spare.endpoint,)), peers[0])
    bench.net.unlink(bench.node.peer, peers[1], "lost")
    bench.net.run(1.3)
    assert (spare.peer, Neighbour(priority=int(Priority.NEEDED))) in bench.got


def test_what_may_be_dialled_depends_on_what_is_missing() -> None:
    """Without a link everything, below six links bare addresses, then only what is wished."""
    bench = Bench()
    overlay = bench.node.overlay
    assert overlay.dialable() == ALL_DIALABLE
    bench.neighbours(5)
    assert overlay.dialable() == Dialable({}, True)
    more = bench.link(10)
    bench.says(more, Neighbour(priority=1))
    assert overlay.dialable() == Dialable({}, False)


def test_the_door_is_full_at_a_few_more_than_twelve() -> None:
    """Twelve neighbours, a visit, four visitors and four under way; who has a session may come again."""
    bench = Bench()
    bench.net.run(12.0)
    linked = [bench.link(number) for number in range(21)]
    assert not bench.node.overlay.may_accept(peer_of("x"))
    assert bench.node.overlay.may_accept(linked[0])


def test_a_flood_of_any_frame_is_dropped_beyond_its_pace() -> None:
    """Two thousand frames of each kind leave every table within its bound, and few are passed on."""
    bench = Bench()
    hostile = bench.neighbours(8)[0]
    overlay = bench.node.overlay
    for number in range(2_000):
        made_up = Contact(
            peer_of(f"made up {number}"), (bench.players[0].endpoint._replace(host=f"10.9.{number % 250}.1"),)
        )
        for frame in (
            Join(),
            ForwardJoin(newcomer=made_up, hops=number % 7),
            Neighbour(priority=number % 4),
            Shuffle(origin=made_up, token=number, hops=number % 7, entries=(made_up,)),
            ShuffleReply(token=number, entries=(made_up,)),
        ):
            bench.node.receive(hostile, frame)
    assert overlay.dropped_frames > 9_900
    assert all(size.kept <= size.most for size in overlay.sizes()), overlay.sizes()
    assert len(overlay.passive) <= 12
    bench.net.run(0.05)
    assert len([frame for _peer, frame in bench.got if isinstance(frame, (ForwardJoin, Shuffle))]) < 100


def test_answers_that_nobody_asked_for_are_ignored() -> None:
    """A NEIGHBOUR ANSWER to no question and a reply to no shuffle change nothing."""
    bench = Bench()
    peer = bench.link(0)
    assert bench.says(peer, NeighbourAnswer(accepted=True)) == []
    assert bench.standing(peer) is Standing.FRESH
    assert bench.says(peer, ShuffleReply(token=1, entries=(Contact(peer_of("x"), (bench.players[0].endpoint,)),))) == []
    assert len(bench.node.overlay.passive) == 0


def test_the_mesh_switches_above_96_and_back_below_64_only() -> None:
    """Between the two nothing changes, whichever way the count goes."""
    net = OverlayNet(config=Config())
    node = net.add()
    others = [net.add() for _ in range(95)]
    net.run(6.0)
    assert not node.overlay.is_partial
    others.append(net.add())
    net.run(6.0)
    assert node.overlay.is_partial
    net.kill(others[:33])
    net.run(6.0)
    assert len(net.alive) == 64
    assert node.overlay.is_partial
    net.kill(others[33:34])
    net.run(6.0)
    assert not node.overlay.is_partial


def test_a_switch_is_told_once_each_way() -> None:
    """Whoever broadcasts otherwise in a partial mesh hears of it."""
    net = OverlayNet(config=replace(Config(), full_mesh_max=3, full_mesh_again=2))
    node = net.add()
    others = [net.add() for _ in range(3)]
    net.run(6.0)
    net.kill(others)
    net.run(6.0)
    assert [fact for fact in node.told if isinstance(fact, MeshSwitched)] == [
        MeshSwitched(partial=True),
        MeshSwitched(partial=False),
    ]


def test_members_without_a_link_are_dialled_when_the_mesh_is_full_again() -> None:
    """The member table knows where they are, though nobody here has ever dialled them."""
    net = OverlayNet(config=replace(Config(), full_mesh_max=6, full_mesh_again=4))
    node = net.add(diallable=False)
    others = [net.add(diallable=False) for _ in range(6)]
    net.link(node, others[0])
    net.run(6.0)
    net.kill(others[2:])
    net.run(6.0)
    assert {fact.peer for fact in node.told if isinstance(fact, PeerSighted)} == {others[1].peer}


def test_frames_of_the_overlay_decode_as_they_were_sent() -> None:
    """What the machine sends is what the wire knows: the priority goes as a plain number."""
    assert decode(encode(Neighbour(priority=int(Priority.HIGH)))) == Neighbour(priority=2)


def test_a_link_without_a_session_is_not_counted() -> None:
    """Nothing is known of such a peer; it can only be a fault of ours, and must not break the machine."""
    net = OverlayNet()
    node = net.add()
    node.tell(PeerLinked(peer=peer_of("x"), store=bytes(16), generation=1))
    assert not node.overlay.neighbours
    assert not [fact for fact in node.told if isinstance(fact, Welcomed)]
