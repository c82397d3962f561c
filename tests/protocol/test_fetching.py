"""Asking for what is missing: in pages on credit, of several holders at once, around those that fail."""

from __future__ import annotations

import pytest

from tests.support.authors import Author, Stranger
from tests.support.fakelink import FakeNet, FakeNode, lobby, quick
from zmqchat.history.batch import Batch
from zmqchat.protocol.data_facts import BatchSettled, BehindPeer, LogOffered
from zmqchat.protocol.fetching import REFUSALS_MAX, REST_ALONE_S, REST_S
from zmqchat.protocol.machine import PeerUnlinked
from zmqchat.wire.frames import Credit, Have, HaveEntry, Page, Want, decode


@pytest.fixture
def net() -> FakeNet:
    """A network without periodic exchanges."""
    return FakeNet(config=quick(sync_interval_s=10_000.0))


def joined(net: FakeNet, name: str = "ann", latest_first: bool = False) -> FakeNode:
    """A node in the lobby."""
    node = net.node(name)
    node.join(latest_first=latest_first)
    net.run(0.1)
    return node


def offer(stranger: Stranger, chain: list[Batch], author: Author | None = None) -> None:
    """The stranger says that it holds all of these."""
    key = (author or stranger).key()
    stranger.node.handle(
        LogOffered(
            peer=stranger.peer,
            room=lobby(),
            key=key,
            ranges=((chain[0].first, chain[-1].end, chain[-1].digest, chain[0].previous),),
            floor=0,
        )
    )


def wants(node: FakeNode) -> list[Want]:
    """All that a node has asked for."""
    frames = [decode(payload) for _peer, payload in node.sent if payload[0] == 43]
    return [frame for frame in frames if isinstance(frame, Want)]


def test_pages_are_paid_for_when_they_are_durable(net: FakeNet) -> None:
    """A peer never has more pages on the way than it was granted, whatever the disk does."""
    ann = joined(net)
    eve = Stranger(net, ann)
    chain = eve.chain(12)
    offer(eve, chain)
    (want,) = eve.frames(Want)
    assert (want.first, want.end, want.credit) == (0, 12, 4)
    ann.store.delay_s = 1.0
    for batch in chain[:4]:
        eve.send(Page(request=want.request, batches=(batch.raw,), done=False))
    assert not eve.frames(Credit)
    net.run(3.0)
    assert sum(frame.pages for frame in eve.frames(Credit)) == 4
    eve.send(Page(request=want.request, batches=tuple(batch.raw for batch in chain[4:]), done=True))
    net.run(3.0)
    assert not eve.frames(Credit) and ann.texts() == [f"{index}" for index in range(12)]
    assert not ann.data.fetching.is_fetching(lobby(), eve.key())


def test_missing_counts_what_is_known_to_be_elsewhere(net: FakeNet) -> None:
    """Each number once however many hold it, less with each page that is stored, nothing once the holders are gone."""
    ann = joined(net)
    eve, bob = Stranger(net, ann), Stranger(net, ann, "bob")
    chain = eve.chain(12)
    assert ann.data.fetching.missing() == 0
    offer(bob, chain[:5], eve)
    assert ann.data.fetching.missing() == 5
    offer(eve, chain)
    assert ann.data.fetching.missing() == 12
    (want, *_others) = bob.frames(Want)
    bob.send(Page(request=want.request, batches=tuple(batch.raw for batch in chain[:3]), done=False))
    net.run(0.1)
    assert ann.data.fetching.missing() == 9
    for peer in (eve.peer, bob.peer):
        ann.handle(PeerUnlinked(peer=peer, reason="lost"))
    assert ann.data.fetching.missing() == 0


def test_pages_beyond_the_credit_are_a_flood(net: FakeNet) -> None:
    """Who sends more than was granted is blamed, and asked no more."""
    ann = joined(net)
    eve = Stranger(net, ann)
    chain = eve.chain(12)
    offer(eve, chain)
    (want,) = eve.frames(Want)
    ann.store.delay_s = 1.0
    for batch in chain:
        eve.send(Page(request=want.request, batches=(batch.raw,), done=False))
    assert [fault.fault.reason for fault in ann.faults] == ["flood"]
    assert not ann.data.fetching.requests


def test_late_pages_of_ended_requests_are_ignored(net: FakeNet) -> None:
    """A page for a number that is not under way, or of another peer, is not looked at."""
    ann = joined(net)
    eve, bob = Stranger(net, ann), Stranger(net, ann, "bob")
    chain = eve.chain(2)
    offer(eve, chain)
    (want,) = eve.frames(Want)
    bob.send(Page(request=want.request, batches=(chain[0].raw,), done=False))
    eve.send(Page(request=999, batches=(chain[0].raw,), done=False))
    ann.handle(BatchSettled(peer=bob.peer, request=want.request, kept=True))
    net.run(0.1)
    assert not ann.texts() and ann.data.fetching.requests == 1


def test_several_holders_share_a_large_gap(net: FakeNet, monkeypatch: pytest.MonkeyPatch) -> None:
    """No number is asked of two at once, each holder sends a part, and all of it comes together."""
    monkeypatch.setattr("zmqchat.protocol.fetching.CHUNK_NUMBERS", 50)
    author = Author()
    chain = author.chain(1_000)
    holders = [joined(net, name) for name in ("bob", "cat", "dan")]
    for holder in holders:
        Stranger(net, holder).push(*chain)
    net.run(2.0)
    ann = joined(net)
    for holder in holders:
        net.link(ann, holder)
    net.run(10.0)
    assert ann.texts() == [f"{index}" for index in range(1_000)]
    assert ann.hash() == holders[0].hash()
    asked = {peer for peer, payload in ann.sent if payload[0] == 43}
    assert len(asked) == 3
    of_author = [want for want in wants(ann) if want.author == author.peer]
    assert sum(want.end - want.first for want in of_author) <= 1_100


@pytest.mark.parametrize("latest_first", [False, True])
def test_order_of_fetching(net: FakeNet, latest_first: bool) -> None:
    """Oldest first by default; newest first with backfill behind it where a face asks."""
    author = Author()
    chain = author.chain(3_000)
    bob = joined(net, "bob")
    Stranger(net, bob).push(*chain)
    net.run(2.0)
    ann = joined(net, latest_first=latest_first)
    net.link(ann, bob)
    net.run(10.0)
    texts = ann.texts()
    assert sorted(texts, key=int) == [f"{index}" for index in range(3_000)]
    first_pages = [int(text) for text in texts[:500]]
    assert min(first_pages) > 1_500 if latest_first else max(first_pages) == 499
    backfill = [deliver.arrival.backfill for _author, _text, deliver in ann.messages()]
    assert backfill[0] is False and backfill[-1] is latest_first


def test_lost_holder_is_replaced_by_another(net: FakeNet) -> None:
    """A link that ends in the middle of a page costs nothing but time."""
    ann = joined(net)
    eve, bob = Stranger(net, ann), Stranger(net, ann, "bob")
    chain = eve.chain(4)
    offer(eve, chain)
    (want,) = eve.frames(Want)
    offer(bob, chain, eve)
    assert not bob.frames(Want)
    eve.send(Page(request=want.request, batches=(chain[0].raw,), done=False))
    net.run(0.1)
    ann.handle(PeerUnlinked(peer=eve.peer, reason="lost"))
    (again,) = bob.frames(Want)
    assert (again.first, again.end) == (1, 4)


def test_silent_holder_is_dropped_after_a_while(net: FakeNet) -> None:
    """Hostile 33: an exchange without progress ends after sync_idle_s, and another holder is asked."""
    ann = joined(net)
    eve, bob = Stranger(net, ann), Stranger(net, ann, "bob")
    chain = eve.chain(4)
    offer(eve, chain)
    offer(bob, chain, eve)
    net.run(net.config.sync_idle_s * 2)
    assert len(bob.frames(Want)) == 1


def test_full_disk_ends_a_request_without_a_loop(net: FakeNet) -> None:
    """What can't be kept now is found missing again by a later exchange, not asked for at once."""
    ann = joined(net)
    eve = Stranger(net, ann)
    chain = eve.chain(2)
    offer(eve, chain)
    (want,) = eve.frames(Want)
    ann.store.failing = "full"
    eve.send(Page(request=want.request, batches=tuple(batch.raw for batch in chain), done=False))
    net.run(5.0)
    assert not eve.frames(Want) and not ann.data.fetching.requests


def test_what_comes_by_itself_is_not_asked_for_again(net: FakeNet) -> None:
    """A push that fills a gap while it waits to be asked for makes the request needless."""
    ann = joined(net)
    eve = Stranger(net, ann)
    chains = [eve.chain(2, log=log) for log in range(1, 5)]
    for chain in chains:
        ann.handle(
            LogOffered(
                peer=eve.peer,
                room=lobby(),
                key=eve.key(chain[0].log),
                ranges=((0, 2, chain[1].digest, bytes(32)),),
                floor=0,
            )
        )
    assert len(eve.frames(Want)) == 2
    eve.push(*chains[2])
    net.run(0.1)
    for want in wants(ann):
        chain = chains[want.log - 1]
        eve.send(Page(request=want.request, batches=tuple(batch.raw for batch in chain), done=True))
    net.run(0.1)
    (last,) = eve.frames(Want)
    assert last.log == 4


def test_offers_of_what_we_hold_or_did_not_ask_for_are_nothing(net: FakeNet, monkeypatch: pytest.MonkeyPatch) -> None:
    """No request for what is held, for rooms that we are not in, for peers that are gone, or beyond a bound."""
    monkeypatch.setattr("zmqchat.protocol.fetching.WANTED_LOGS_MAX", 1)
    ann = joined(net)
    eve = Stranger(net, ann)
    chain = eve.chain(2)
    offer(eve, chain)
    (want,) = eve.frames(Want)
    offer(eve, eve.chain(2, log=2), Author("bob"))
    ann.handle(LogOffered(peer=eve.peer, room=lobby("other"), key=eve.key(), ranges=(), floor=0))
    ann.handle(BehindPeer(peer=eve.peer, room=lobby("other"), key=eve.key(), end=5))
    ann.handle(BehindPeer(peer=Author("gone").peer, room=lobby(), key=eve.key(), end=50))
    assert not eve.frames(Want)
    eve.push(*chain)
    net.run(0.1)
    offer(eve, chain)
    eve.send(Page(request=want.request, batches=(), done=True))
    assert not ann.data.fetching.is_fetching(lobby(), eve.key()) and not eve.frames(Want)


def test_leaving_a_room_ends_its_requests(net: FakeNet) -> None:
    """Nothing more is asked for; what comes late is not kept."""
    ann = joined(net)
    eve = Stranger(net, ann)
    chain = eve.chain(2)
    offer(eve, chain)
    (want,) = eve.frames(Want)
    ann.leave()
    net.run(0.1)
    assert not ann.data.fetching.is_fetching(lobby(), eve.key())
    eve.send(Page(request=want.request, batches=tuple(batch.raw for batch in chain), done=True))
    net.run(0.1)
    assert not ann.texts() and ann.data.fetching.requests == 0


def test_have_of_a_log_with_a_gap_asks_for_the_gap_only(net: FakeNet) -> None:
    """What is held above the gap is not fetched a second time."""
    ann = joined(net)
    eve = Stranger(net, ann)
    chain = eve.chain(10)
    eve.push(*chain[:2], *chain[6:])
    net.run(0.1)
    eve.send(Have(room=lobby(), holder=eve.peer, entries=(HaveEntry(eve.peer, 1, bytes(8), 10),)))
    net.run(0.1)
    (want,) = eve.frames(Want)
    assert (want.first, want.end) == (2, 6)


def test_busy_holder_is_asked_again_and_others_at_once(net: FakeNet) -> None:
    """An empty page that is not the last: whoever else offers the log is asked, and the busy one later."""
    ann = joined(net)
    eve, bob = Stranger(net, ann, "eve"), Stranger(net, ann, "bob")
    author = Author()
    chain = author.chain(12)
    offer(eve, chain, author)
    (want,) = eve.frames(Want)
    eve.send(Page(request=want.request, batches=(), done=False))
    assert ann.data.fetching.is_fetching(lobby(), author.key()) and not ann.data.fetching.requests
    net.run(REST_ALONE_S + 0.2)
    (again,) = eve.frames(Want)
    eve.send(Page(request=again.request, batches=(), done=False))
    offer(bob, chain, author)
    (elsewhere,) = bob.frames(Want)
    bob.send(Page(request=elsewhere.request, batches=tuple(batch.raw for batch in chain), done=True))
    net.run(REST_S)
    assert len(ann.texts()) == 12 and not eve.frames(Want)


def test_holder_that_is_always_busy_is_given_up(net: FakeNet) -> None:
    """Its offer is void until the next exchange, so it can't keep a room from being up to date."""
    ann = joined(net)
    eve = Stranger(net, ann)
    offer(eve, eve.chain(12))
    for _refusal in range(REFUSALS_MAX):
        (want,) = eve.frames(Want)
        eve.send(Page(request=want.request, batches=(), done=False))
        net.run(REST_S + 0.2)
    assert not eve.frames(Want) and not ann.data.fetching.is_fetching(lobby(), eve.key())
