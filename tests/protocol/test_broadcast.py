"""The tree of a partial mesh: each batch once to everybody, repair, optimisation, and peers that break its rules."""

from __future__ import annotations

import itertools
from random import Random

import pytest

from tests.support.authors import Author
from tests.support.fakelink import lobby
from zmqchat.history.batch import Batch
from zmqchat.model.ids import PeerId
from zmqchat.model.limits import (
    TREE_CACHE_BYTES_MAX,
    TREE_HOPS_MAX,
    TREE_MISSING_PER_PEER_MAX,
    TREE_REQUESTS_PER_S_MAX,
    TREE_UNANSWERED_MAX,
)
from zmqchat.protocol.data_facts import BatchesStored, PushReceived, StoredBatch
from zmqchat.protocol.facts import LinkBlocked
from zmqchat.protocol.machine import PeerLinked
from zmqchat.sim.treenet import TreeNet, TreeNode
from zmqchat.wire.frames import Frame, Interest, Push
from zmqchat.wire.tree_frames import NO_TREE_ID, Announced, Graft, IHave, Prune, Relay, Taken, tree_id


def mesh(count: int, *, degree: int = 8, seed: int = 1, joined: bool = True) -> TreeNet:
    """A random partial mesh."""
    net = TreeNet(seed)
    net.add(count, joined)
    net.random_mesh(degree)
    return net


def chain(count: int) -> TreeNet:
    """Nodes in a row."""
    net = TreeNet()
    nodes = net.add(count)
    for one, other in itertools.pairwise(nodes):
        net.link(one, other)
    return net


def stranger(node: TreeNode, name: str = "eve") -> Author:
    """A peer of the test's own, linked to the node; what the node sends it is in `said_to`."""
    author = Author(name)
    node.handle(PeerLinked(peer=author.peer, store=bytes(16), generation=1, features=("overlay-1",)))
    return author


def said_to(net: TreeNet, peer: PeerId) -> list[Frame]:
    """From now on, the frames that this peer without a node is sent."""
    frames: list[Frame] = []

    def tap(_sender: TreeNode, to: PeerId, frame: Frame) -> None:
        if to == peer:
            frames.append(frame)

    net.tap = tap
    return frames


def settle(net: TreeNet, batches: int = 3) -> None:
    """Let the tree be drawn."""
    for _ in range(batches):
        net.nodes[0].say()
        net.run(1.0)


def test_each_node_gets_each_batch_once() -> None:
    """The first batch floods, whatever the mesh looks like; nobody is handed it twice."""
    for seed in range(5):
        net = mesh(60, degree=6, seed=seed)
        batch = net.nodes[7].say()
        net.run(1.0)
        assert len(net.reached(batch, net.nodes[7])) == 59


def test_a_settled_tree_sends_each_batch_once_a_receiver() -> None:
    """Relative redundancy 0: n - 1 payloads for n - 1 receivers, from the second batch on, and few hops."""
    net = mesh(300)
    author = net.nodes[0]
    settle(net, 1)
    assert net.sent("Relay") > 3 * 299
    for _ in range(5):
        before = net.sent("Relay")
        batch = author.say()
        net.run(1.0)
        assert net.sent("Relay") - before == len(net.reached(batch, author)) == 299
    assert max(net.depths(author).values()) <= 7
    assert net.sent("Graft") == 0


def test_whoever_tells_of_a_batch_is_not_told_of_it() -> None:
    """Names that wait for a lazy link are dropped when the other end tells of them first: a quarter less on a LAN."""
    net = TreeNet(1)
    net.delay_s = lambda: net.rng.uniform(0.0005, 0.001)
    net.add(40, True)
    net.random_mesh(8)
    settle(net, 6)
    lazy_ends, before = len(net.delays) - 2 * 39, net.sent("IHave")
    settle(net, 1)
    assert lazy_ends / 2 <= net.sent("IHave") - before < 0.75 * lazy_ends


def test_all_authors_share_a_tree() -> None:
    """Whoever speaks, a settled tree sends each batch once; no author redraws it."""
    net = mesh(100)
    settle(net)
    before = net.sent("Relay")
    for author in net.nodes[10:40]:
        batch = author.say()
        net.run(0.5)
        assert len(net.reached(batch, author)) == 99
    assert net.sent("Relay") - before == 30 * 99


def test_authors_that_speak_at_the_same_time_do_not_tear_the_tree() -> None:
    """Batches that are under way at once draw no circles: few payloads too many, and no wait for a GRAFT."""
    net = mesh(60)
    said = []
    for index in range(150):
        author = net.nodes[net.rng.randrange(20)]
        said.append((author, author.say(str(index)), net.now_s))
        net.run(0.003)
    before, late = net.sent("Relay"), []
    for index in range(100):
        author = net.nodes[net.rng.randrange(20)]
        said.append((author, author.say(str(index)), net.now_s))
        late.append(said[-1])
        net.run(0.003)
    net.run(1.0)
    assert all(len(net.reached(batch, author)) == 59 for author, batch, _at_s in said)
    assert net.sent("Relay") - before <= 1.1 * 100 * 59
    assert max(node.got[batch.raw][0] - at_s for a, batch, at_s in late for node in net.nodes if node is not a) < 0.05


def test_a_killed_relay_is_gone_round() -> None:
    """The link is seen to close: the first batch after it reaches everybody, by GRAFT where need be."""
    net = mesh(100)
    settle(net)
    author = net.nodes[0]
    relay = max(net.nodes[1:], key=lambda node: node.sent["Relay"])
    assert relay.sent["Relay"] > 6
    net.kill(relay)
    batch = author.say()
    net.run(0.5)
    assert len(net.reached(batch, author)) == 98
    assert net.sent("Graft") > 0
    settle(net, 2)
    before = net.sent("Relay")
    batch = author.say()
    net.run(1.0)
    assert net.sent("Relay") - before == len(net.reached(batch, author)) == 98


def test_a_relay_that_hangs_is_gone_round_too() -> None:
    """Nothing closes, it only sends nothing any more: its children hear the names elsewhere and ask there."""
    net = mesh(60)
    settle(net)
    author = net.nodes[0]
    relay = max(net.nodes[1:], key=lambda node: node.sent["Relay"])
    net.lose = lambda sender, _receiver, _frame: sender is relay
    batch = author.say()
    net.run(1.0)
    assert len(net.reached(batch, author)) == 59
    batch = author.say()
    net.run(0.08)
    assert len(net.reached(batch, author)) == 59


def test_an_answer_to_graft_that_is_lost_is_asked_for_elsewhere() -> None:
    """The timer goes on to the next who announced it (algorithm 2)."""
    net = mesh(30)
    settle(net)
    victim = net.nodes[5]
    net.lose = lambda _s, to, frame: to is victim and isinstance(frame, Relay) and victim.sent["Graft"] < 2
    batch = net.nodes[0].say()
    net.run(1.0)
    assert len(victim.got[batch.raw]) == 1 and victim.sent["Graft"] >= 2


def test_loss_doubling_and_reordering_lose_and_double_nothing() -> None:
    """A tenth of the batches lost, some twice, all in any order: everybody has each once after the repair."""
    net = mesh(40)
    rng = Random(7)
    net.lose = lambda _a, _b, frame: isinstance(frame, Relay) and rng.random() < 0.1
    net.double = lambda _a, _b, _frame: rng.random() < 0.2
    net.hold = lambda _a, _b, _frame: rng.random() * 0.05
    said = []
    for index in range(60):
        author = net.nodes[rng.randrange(40)]
        said.append((author, author.say(str(index))))
        net.run(rng.random() * 0.05)
    net.run(5.0)
    missed = sum(39 - len(net.reached(batch, author)) for author, batch in said)
    assert missed == 0
    assert not [fault for node in net.nodes for fault in node.faults]


def test_who_links_later_gets_what_is_said_then() -> None:
    """A new link is eager (algorithm 3), and the circle that it closes is cut."""
    net = mesh(40)
    settle(net)
    (late,) = net.add(1)
    for other in net.nodes[3:9]:
        net.link(late, other)
    batch = net.nodes[0].say()
    net.run(1.0)
    assert late in net.reached(batch, net.nodes[0])
    before = net.sent("Relay")
    net.nodes[0].say()
    net.run(1.0)
    assert net.sent("Relay") - before == 40


def test_a_shorter_way_replaces_a_long_one() -> None:
    """A lazy link that promises far fewer hops time and again joins the tree, the long one is pruned (algorithm 4)."""
    net = chain(12)
    first, last = net.nodes[0], net.nodes[-1]
    settle(net)
    net.link(first, last)
    for node, other in ((first, last), (last, first)):
        node.receive(other.peer, Prune(room=lobby()))
    for _ in range(60):
        first.say()
        net.run(1.0)
    assert first.broadcast.is_eager(lobby(), last.peer)
    assert max(net.depths(first).values()) <= 8
    batch = first.say()
    net.run(1.0)
    assert len(net.reached(batch, first)) == 11


def test_a_chain_relays_to_its_end() -> None:
    """Eight hosts in a row, as two relays between each of them."""
    net = chain(9)
    batch = net.nodes[0].say()
    net.run(0.1)
    assert net.reached(batch, net.nodes[0])[-1] is net.nodes[-1]
    assert net.sent("Relay") == 8 and net.sent("Graft") == net.sent("Prune") == 0


def test_rooms_of_others_are_relayed_and_not_kept() -> None:
    """A node that is not in the room passes batches on, and tells nothing of them to the rest of the node."""
    net = TreeNet()
    ann, relay, bob = net.add(1)[0], net.add(1, joined=False)[0], net.add(1)[0]
    net.link(ann, relay)
    net.link(relay, bob)
    batch = ann.say()
    net.run(0.1)
    assert bob.got[batch.raw] and not relay.got
    relay.receive(bob.peer, Graft(room=lobby(), id=tree_id(batch.raw)))
    assert relay.sent["Relay"] == 2


def test_a_peer_without_these_frames_is_pushed_to_and_heard() -> None:
    """An older member gets PUSH, and what it pushes goes on along the tree."""
    net = chain(2)
    ann, bob = net.nodes
    old = Author("old")
    linked = PeerLinked(peer=old.peer, store=bytes(16), generation=1)
    bob.handle(linked)
    bob.interests.facts[PeerLinked](linked, bob.instant())
    bob.interests.frames[Interest](old.peer, Interest(rooms=(lobby(),)), bob.instant())
    frames = said_to(net, old.peer)
    ann.say()
    net.run(0.1)
    assert [type(frame) for frame in frames] == [Push]
    batch = old.batch()
    bob.handle(PushReceived(peer=old.peer, raw=batch.raw))
    net.run(0.1)
    assert ann.got[batch.raw] and bob.got[batch.raw]
    bob.handle(PushReceived(peer=old.peer, raw=batch.raw))
    assert len(bob.got[batch.raw]) == 2, "a second push is for `intake` to acknowledge"


# Hostile peers -----------------------------------------------------------------------------------


def test_a_forged_batch_is_blamed_and_goes_no_further() -> None:
    """Each relay verifies first: whoever passes on what does not verify is at fault, nobody else sees it."""
    net = chain(3)
    first, second, third = net.nodes
    good = Author("cat").batch()
    for raw in (good.raw[:-1] + bytes((good.raw[-1] ^ 1,)), good.raw[:60], b"", b"nonsense" * 20):
        second.receive(first.peer, Relay(hops=1, batch=raw))
    net.run(1.0)
    assert [fault.peer for fault in second.faults] == [first.peer] * 4
    assert not second.got and not third.got and not third.faults
    second.receive(first.peer, Relay(hops=1, batch=good.raw))
    net.run(1.0)
    assert third.got[good.raw], "the true one is not shut out by what was forged under its name"


def test_announcements_of_nothing_are_bounded_and_blamed() -> None:
    """Who announces what it does not send fills its own share alone, and pays."""
    net = chain(2)
    node = net.nodes[0]
    eve = stranger(node)
    for start in range(0, 20_000, 1_000):
        names = [(start + index).to_bytes(16, "big") for index in range(1_000)]
        node.receive(eve.peer, IHave(room=lobby(), entries=tuple(Announced(name, 1) for name in names)))
        node.sizes()
    assert len(node.broadcast._awaited) == TREE_MISSING_PER_PEER_MAX
    batch = net.nodes[1].say()
    net.run(0.1)
    assert node.got[batch.raw], "the tree works beside it"
    net.run(12.0)
    assert node.sent["Graft"] <= 12 * TREE_REQUESTS_PER_S_MAX
    assert len(node.broadcast._awaited) == 0
    assert len(node.faults) >= TREE_MISSING_PER_PEER_MAX // (TREE_UNANSWERED_MAX + 1) - 1
    assert {fault.peer for fault in node.faults} == {eve.peer}


def test_a_flood_of_grafts_gets_little_and_is_blamed() -> None:
    """A GRAFT is small and its answer large: both their number and the bytes of the answers have a pace."""
    net = TreeNet()
    (node,) = net.add(1)
    eve = stranger(node)
    name = tree_id(node.say("x" * 50_000).raw)
    node.sent.clear()
    for _ in range(2_000):
        node.receive(eve.peer, Graft(room=lobby(), id=name))
    assert node.sent["Relay"] * 50_000 <= 2 * 8 * 2**20
    assert len(node.faults) == 2_000 - TREE_REQUESTS_PER_S_MAX
    node.receive(eve.peer, Graft(room=lobby("other"), id=name))
    net.run(2.0)
    node.receive(eve.peer, Graft(room=lobby("other"), id=name))
    node.receive(eve.peer, Graft(room=lobby(), id=b"never was here.."))


def test_endless_prunes_change_one_link_and_are_blamed() -> None:
    """Who prunes all the time gets names only; others get their batches as before."""
    net = chain(2)
    node, bob = net.nodes
    eve = stranger(node)
    for index in range(1_000):
        node.receive(eve.peer, Prune(room=lobby(str(index % 300))))
        node.receive(eve.peer, Prune(room=lobby()))
        node.sizes()
    assert len(node.faults) >= 1_000
    frames = said_to(net, eve.peer)
    batch = node.say()
    net.run(0.1)
    assert bob.got[batch.raw] and [type(frame) for frame in frames] == [IHave]


def test_old_batches_played_back_go_no_further() -> None:
    """What is held here and was said long ago is not relayed again, so nobody can make a mesh repeat itself."""
    net = chain(2)
    node, bob = net.nodes
    eve = stranger(node)
    old = Author("cat").batch(sealed_at=1 << 16)
    room = node.ledger.room(lobby())
    placement = room.frontier.place(old, {})
    room.frontier.apply(placement)
    node.receive(eve.peer, Relay(hops=1, batch=old.raw))
    net.run(0.1)
    assert not bob.got and not node.faults


def test_a_batch_that_has_gone_too_far_ends() -> None:
    """What circles ends: at 255 links a batch is taken in, and not passed on."""
    net = chain(2)
    node, bob = net.nodes
    eve = stranger(node)
    batch = Author("cat").batch()
    node.receive(eve.peer, Relay(hops=TREE_HOPS_MAX, batch=batch.raw))
    net.run(0.1)
    assert node.got[batch.raw] and not bob.got
    node.receive(bob.peer, Graft(room=lobby(), id=tree_id(batch.raw)))
    assert not node.sent["Relay"]


def test_the_memory_of_a_relay_is_bounded() -> None:
    """Large batches of many rooms: what is kept to send again stays within its bytes, and is forgotten in time."""
    net = chain(2)
    node, bob = net.nodes
    cat = Author("cat")
    raws: list[Batch] = []
    for index in range(120):
        raws.append(cat.batch(tuple("y" * 60_000 for _ in range(4)), log=index + 1, room=lobby(str(index))))
        node.receive(bob.peer, Relay(hops=1, batch=raws[-1].raw))
        node.sizes()
    assert node.broadcast._relayed.cache_bytes > TREE_CACHE_BYTES_MAX // 2
    net.run(200.0)
    node.receive(bob.peer, Relay(hops=1, batch=cat.batch(log=1_000).raw))
    assert node.broadcast._relayed.cache_bytes < 1_000 and len(node.broadcast._relayed._seen) == 1
    assert not node.faults


# Slow peers --------------------------------------------------------------------------------------


def test_a_slow_peer_gets_names_only_until_it_has_caught_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounded bytes for it, nothing slower for others; after ten seconds the overlay hears of it."""
    monkeypatch.setattr("zmqchat.protocol.lines.LINK_UNACKNOWLEDGED_BYTES_MAX", 100_000)
    net = chain(2)
    node, bob = net.nodes
    eve = stranger(node)
    frames = said_to(net, eve.peer)
    for _ in range(30):
        node.say("x" * 10_000)
        net.run(0.5)
    assert node.broadcast.is_slow(eve.peer) and not node.broadcast.is_slow(bob.peer)
    relays = [frame for frame in frames if isinstance(frame, Relay)]
    assert len(relays) <= 11 and len(bob.got) == 30
    assert node.slow == [eve.peer]
    name = tree_id(node.say().raw)
    node.receive(eve.peer, Graft(room=lobby(), id=name))
    assert not [frame for frame in frames[-3:] if isinstance(frame, Relay)]
    read = sum(len(frame.batch) for frame in relays)
    node.receive(eve.peer, Taken(size_bytes=read + 1))
    assert node.broadcast.is_slow(eve.peer), "it can't have read more than it was sent"
    node.receive(eve.peer, Taken(size_bytes=read))
    assert not node.broadcast.is_slow(eve.peer)
    node.say()
    assert isinstance(frames[-1], Relay)


def test_a_dropped_frame_makes_a_peer_slow() -> None:
    """libzmq says that it dropped something: no more batches until it has read what was sent."""
    net = chain(2)
    node, bob = net.nodes
    node.handle(LinkBlocked(peer=bob.peer))
    assert not node.broadcast.is_slow(bob.peer)
    node.say()
    node.handle(LinkBlocked(peer=bob.peer))
    assert node.broadcast.is_slow(bob.peer)


def test_readers_say_how_far_they_are() -> None:
    """A stream is acknowledged every 64 KiB of it, and chat not at all."""
    net = chain(2)
    node, bob = net.nodes
    node.say("hello")
    net.run(0.1)
    assert bob.sent["Taken"] == 0
    for _ in range(20):
        node.say("x" * 20_000)
        net.run(0.1)
    assert 5 <= bob.sent["Taken"] <= 7
    assert not node.broadcast.is_slow(bob.peer)


# Odds and ends -----------------------------------------------------------------------------------


def test_what_came_by_sync_is_not_asked_for() -> None:
    """A batch that was announced and then stored by another way needs no GRAFT."""
    net = chain(2)
    node, bob = net.nodes
    batch = Author("cat").batch()
    node.receive(bob.peer, IHave(room=lobby(), entries=(Announced(tree_id(batch.raw), 1),)))
    node.handle(BatchesStored(batches=(StoredBatch(batch, Author("cat").key(), bob.peer),)))
    net.run(20.0)
    assert node.sent["Graft"] == 0 and not node.faults


def test_frames_of_a_peer_without_a_tree_are_ignored() -> None:
    """Who did not say that it speaks them, or has just gone, changes nothing."""
    net = chain(2)
    node = net.nodes[0]
    gone = Author("gone").peer
    name = tree_id(node.say().raw)
    frames = (
        Relay(hops=1, batch=Author("cat").batch().raw),
        IHave(room=lobby(), entries=(Announced(bytes(16), 1),)),
        Graft(room=lobby(), id=name),
        Prune(room=lobby()),
        Taken(size_bytes=3),
    )
    node.sent.clear()
    for frame in frames:
        node.receive(gone, frame)
    assert not node.sent and not node.got and not node.faults


def test_an_author_that_everybody_pruned_still_sends() -> None:
    """With no eager link left its own batch goes over the lazy ones, rather than wait to be asked for."""
    net = chain(3)
    author = net.nodes[1]
    for other in (net.nodes[0], net.nodes[2]):
        author.receive(other.peer, Prune(room=lobby()))
    batch = author.say()
    net.run(0.01)
    assert len(net.reached(batch, author)) == 2


def test_a_graft_without_a_name_moves_the_link_alone() -> None:
    """NO_TREE_ID asks for no batch."""
    net = chain(2)
    node, bob = net.nodes
    node.receive(bob.peer, Prune(room=lobby()))
    assert not node.broadcast.is_eager(lobby(), bob.peer)
    node.receive(bob.peer, Graft(room=lobby(), id=NO_TREE_ID))
    assert node.broadcast.is_eager(lobby(), bob.peer) and not node.sent["Relay"]
