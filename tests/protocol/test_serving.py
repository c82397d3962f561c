"""Answering requests: whole batches, one load at a time, within bounds."""

from __future__ import annotations

import pytest

from tests.support.authors import Author, Stranger
from tests.support.fakelink import FakeNet, FakeNode, lobby
from zmqchat.history.batch import Batch, BatchHeader, peek
from zmqchat.model.ids import MAIN_BRANCH
from zmqchat.model.limits import FRAME_BYTES_MAX, PAGES_IN_FLIGHT_MAX
from zmqchat.protocol.copies import LINKS_FREE
from zmqchat.protocol.facts import RangeLoaded
from zmqchat.protocol.machine import PeerUnlinked
from zmqchat.wire.frames import Credit, Page, Want, encode


@pytest.fixture
def net() -> FakeNet:
    """A network of nobody."""
    return FakeNet()


@pytest.fixture
def ann(net: FakeNet) -> FakeNode:
    """A node that holds 40 batches of 16 KB of an author."""
    node = net.node("ann")
    node.join()
    net.run(0.1)
    author = Author()
    chain: list[Batch] = []
    for index in range(40):
        chain.append(author.batch((f"{index} " + "x" * 16_000,), after=chain[-1] if chain else None))
    Stranger(net, node, "eve").push(*chain)
    net.run(1.0)
    return node


def want(request: int = 1, first: int = 0, end: int = 40, credit: int = 4, newest_first: bool = False) -> Want:
    """A request for the author's log."""
    return Want(
        request=request,
        room=lobby(),
        author=Author().peer,
        log=1,
        branch=MAIN_BRANCH,
        first=first,
        end=end,
        credit=credit,
        newest_first=newest_first,
    )


def numbers(page: Page) -> list[int]:
    """The numbers of the batches in a page, one event each."""
    headers = [peek(raw) for raw in page.batches]
    return [header.first for header in headers if isinstance(header, BatchHeader)]


def test_pages_hold_whole_batches_in_order(net: FakeNet, ann: FakeNode) -> None:
    """Any holder serves any author's log, byte for byte, in frames within the limit."""
    bob = Stranger(net, ann, "bob")
    bob.send(want())
    net.run(1.0)
    pages = bob.frames(Page)
    assert [number for page in pages for number in numbers(page)] == list(range(40))
    assert [page.done for page in pages] == [False, False, True]
    assert max(len(encode(page)) for page in pages) <= FRAME_BYTES_MAX
    assert ann.data.serving.waiting(bob.peer) == 0


def test_newest_first_goes_backwards(net: FakeNet, ann: FakeNode) -> None:
    """From the end, each page in rising order all the same."""
    bob = Stranger(net, ann, "bob")
    bob.send(want(newest_first=True, first=5))
    net.run(1.0)
    pages = [numbers(page) for page in bob.frames(Page)]
    assert pages[0] == sorted(pages[0]) and pages[0][-1] == 39 and pages[-1][0] == 5
    assert sorted(number for page in pages for number in page) == list(range(5, 40))


def test_without_credit_nothing_is_sent_and_the_request_ends(net: FakeNet, ann: FakeNode) -> None:
    """Hostile 33: never granting credit costs one page and is over after sync_idle_s."""
    bob = Stranger(net, ann, "bob")
    bob.send(want(credit=1))
    net.run(1.0)
    assert len(bob.frames(Page)) == 1
    net.run(net.config.sync_idle_s * 2)
    assert ann.data.serving.waiting(bob.peer) == 0
    bob.send(Credit(request=1, pages=1))
    net.run(1.0)
    assert not bob.frames(Page)


def test_credit_brings_the_next_page(net: FakeNet, ann: FakeNode) -> None:
    """A page is paid for by the asker's acknowledgement."""
    bob = Stranger(net, ann, "bob")
    bob.send(want(credit=1))
    net.run(1.0)
    bob.send(Credit(request=1, pages=1))
    net.run(1.0)
    assert len(bob.frames(Page)) == 2


def test_requests_are_clipped_to_what_is_held(net: FakeNet, ann: FakeNode) -> None:
    """Hostile 33: [0, 2^64) of a log is what there is of it; an unknown log is one empty page."""
    bob = Stranger(net, ann, "bob")
    bob.send(want(request=1, end=2**64 - 1))
    bob.send(want(request=2, first=90, end=95))
    bob.send(want(request=3, first=9, end=3))
    bob.send(
        Want(
            request=4,
            room=lobby("other"),
            author=Author().peer,
            log=1,
            branch=MAIN_BRANCH,
            first=0,
            end=9,
            credit=1,
            newest_first=False,
        )
    )
    net.run(2.0)
    pages = bob.frames(Page)
    assert len([page for page in pages if page.request == 1]) == 3
    assert [(page.batches, page.done) for page in pages if page.request != 1] == [((), True)] * 3


def test_one_request_is_served_at_a_time(net: FakeNet, ann: FakeNode) -> None:
    """Hostile 33: the same range a thousand times is a short queue and one load."""
    bob = Stranger(net, ann, "bob")
    ann.store.delay_s = 0.5
    for request in range(1_000):
        bob.send(want(request=request, credit=100))
    bob.send(want(request=0))
    assert ann.data.serving.waiting(bob.peer) == 16
    net.run(0.9)
    assert len(bob.frames(Page)) == 1
    net.run(60.0)
    assert max(page.request for page in bob.frames(Page)) == 15


def test_requests_without_credit_make_place_for_new_ones(net: FakeNet, ann: FakeNode) -> None:
    """Whoever asks for much and takes nothing does not block what he asks for next."""
    bob = Stranger(net, ann, "bob")
    for request in range(20):
        bob.send(want(request=request, credit=0))
    bob.send(want(request=99, credit=PAGES_IN_FLIGHT_MAX))
    net.run(1.0)
    assert {page.request for page in bob.frames(Page)} == {99}
    assert ann.data.serving.waiting(bob.peer) == 15


def test_bytes_a_second_are_bounded(net: FakeNet, ann: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """An asker that loops gets what is fair, and goes on getting it."""
    monkeypatch.setattr("zmqchat.protocol.serving.REPAIR_BYTES_PER_S_MAX", 100_000)
    bob = Stranger(net, ann, "bob")
    bob.node.data.serving._askers[bob.peer].budget = 1.0
    bob.send(want())
    net.run(1.0)
    assert len(bob.frames(Page)) == 1
    net.run(20.0)
    assert len(bob.frames(Page)) == 2


def test_link_that_is_lost_ends_its_requests(net: FakeNet, ann: FakeNode) -> None:
    """A load that comes back for a peer that is gone is dropped."""
    bob = net.node("bob")
    bob.join()
    net.run(0.1)
    ann.store.delay_s = 1.0
    net.link(ann, bob)
    net.run(1.0)
    net.unlink(ann, bob)
    net.run(3.0)
    assert ann.data.serving.waiting(bob.peer) == 0
    ann.handle(RangeLoaded(token=10_000, batches=()))
    ann.data.serving.frames[Want](bob.peer, want(), ann.instant())
    ann.data.serving.frames[Credit](bob.peer, Credit(request=1, pages=1), ann.instant())


def test_rows_that_can_not_be_read_end_a_request(net: FakeNet, ann: FakeNode) -> None:
    """A damaged store answers that it has nothing, so that others are asked."""
    bob = Stranger(net, ann, "bob")
    ann.store.batches.clear()
    bob.send(want())
    net.run(1.0)
    assert [(page.batches, page.done) for page in bob.frames(Page)] == [((), True)]


def test_dropped_request_is_not_answered(net: FakeNet, ann: FakeNode) -> None:
    """What was loaded for a request that is gone meanwhile is not sent."""
    bob = Stranger(net, ann, "bob")
    ann.store.delay_s = 1.0
    bob.send(want())
    asker = ann.data.serving._askers[bob.peer]
    asker.wants.clear()
    net.run(2.0)
    assert not bob.frames(Page)


def test_store_that_can_not_be_read_for_a_while_delays_a_page(net: FakeNet, ann: FakeNode) -> None:
    """One failing read does not mean that nothing is held."""
    bob = Stranger(net, ann, "bob")
    ann.store.unreadable = True
    bob.send(want())
    net.run(0.5)
    assert not bob.frames(Page)
    ann.store.unreadable = False
    net.run(1.0)
    assert bob.frames(Page)[0].batches


def test_store_that_can_not_be_read_sends_the_asker_elsewhere(net: FakeNet, ann: FakeNode) -> None:
    """After a few tries the answer is that there is nothing, so that others are asked."""
    bob = Stranger(net, ann, "bob")
    ann.store.unreadable = True
    bob.send(want())
    net.run(5.0)
    assert [(page.batches, page.done) for page in bob.frames(Page)] == [((), True)]
    assert ann.data.serving.waiting(bob.peer) == 0


def test_who_asks_for_what_others_get_is_sent_elsewhere(
    net: FakeNet, ann: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a partial mesh, with many links, the second asker gets an empty page after which more would follow."""
    monkeypatch.setattr("zmqchat.protocol.copies.EXCESS_NUMBERS_MAX", 1)
    ann.switch(partial=True)
    askers = [Stranger(net, ann, f"asker {number}") for number in range(LINKS_FREE + 2)]
    for asker in askers:
        asker.send(want(credit=8))
    net.run(1.0)
    pages = [asker.frames(Page) for asker in askers]
    refused = [page == [Page(request=1, batches=(), done=False)] for page in pages]
    assert refused.count(False) == 1
    assert sum(ann.data.serving.waiting(asker.peer) for asker in askers) == 0


@pytest.mark.parametrize(("partial", "links"), [(True, LINKS_FREE), (False, LINKS_FREE + 2)])
def test_with_few_links_or_in_a_full_mesh_all_are_served_at_once(
    net: FakeNet, ann: FakeNode, monkeypatch: pytest.MonkeyPatch, partial: bool, links: int
) -> None:
    """Nobody can come to carry more than three times what it has, or all are near: so nobody waits."""
    monkeypatch.setattr("zmqchat.protocol.copies.EXCESS_NUMBERS_MAX", 1)
    ann.switch(partial=partial)
    ann.handle(PeerUnlinked(peer=Author("eve").peer, reason="lost"))
    askers = [Stranger(net, ann, f"asker {number}") for number in range(links)]
    for asker in askers:
        asker.send(want(credit=8))
    net.run(1.0)
    assert [sum(len(page.batches) for page in asker.frames(Page)) for asker in askers] == [40] * links
