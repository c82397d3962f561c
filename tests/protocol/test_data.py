"""Whatever happens on the way, all nodes end with the same, and everything acknowledged is everywhere once."""

from __future__ import annotations

import copy
from collections import defaultdict
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.fakelink import FakeNet, FakeNode, lobby, quick, texts_of
from tests.support.fakestore import FakeStore
from zmqchat.model.ids import MessageId, PeerId
from zmqchat.protocol.data_effects import OwnFailed, OwnStored

NAMES = ("ann", "bob", "cat", "dan")


RESTORES_MAX = 2
"""Restored backups a life: each may fork a log once, and a log has BRANCHES_MAX branches."""


def held_texts(node: FakeNode) -> set[str]:
    """The texts on a node's disk."""
    return {text for rows in node.store.batches.values() for row in rows.values() for text in texts_of(row.raw)}


class _Life:
    """A mesh in which a seed decides what goes wrong."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.net = FakeNet(seed, quick(sync_interval_s=3.0, gap_wait_s=5.0, sync_idle_s=4.0))
        self.nodes: dict[str, FakeNode] = {}
        self.ids: dict[str, dict[str, MessageId]] = defaultdict(dict)
        self.acknowledged: set[str] = set()
        self.delivered: dict[str, list[tuple[PeerId, str, bool, int, int]]] = defaultdict(list)
        self.backups: dict[str, tuple[FakeStore, list[tuple[PeerId, str, bool, int, int]]]] = {}
        self.restores = 0
        self.said = 0
        lossy = self.rng.random() * 0.3
        self.net.lose = lambda _a, _b, _payload, feed: self.rng.random() < (lossy if feed else lossy / 10)
        self.net.double = lambda _a, _b, _payload, _feed: self.rng.random() < 0.1
        self.net.late_s = lambda: self.rng.choice((0.0, 0.0, 0.02, 0.3))
        for name in NAMES[: self.rng.randint(2, 4)]:
            self.nodes[name] = self.net.node(name)
            self.nodes[name].join(latest_first=self.rng.random() < 0.2)
        self.net.run(0.1)

    def collect(self, name: str) -> None:
        """Remember what a node was told, as its next life begins with nothing."""
        node = self.nodes[name]
        for effect in node.told:
            if not isinstance(effect, OwnStored | OwnFailed):
                continue
            numbers = range(effect.first, effect.end)
            for text, known in list(self.ids[name].items()):
                if known.log == effect.log and known.number in numbers:
                    del self.ids[name][text]
                    if isinstance(effect, OwnStored):
                        self.acknowledged.add(text)
        for author, text, deliver in node.messages():
            arrival = deliver.arrival
            self.delivered[name].append((author, text, arrival.backfill, arrival.key.log, arrival.first))
        node.told.clear()
        node.delivers.clear()

    def step(self) -> None:
        """One thing happens."""
        rng, net = self.rng, self.net
        name = rng.choice(sorted(self.nodes))
        node = self.nodes[name]
        what = rng.random()
        if what < 0.5:
            texts = [f"{name} {self.said + index}" for index in range(rng.choice((1, 1, 3, 40)))]
            self.said += len(texts)
            self.collect(name)
            self.ids[name].update(zip(texts, node.say(*texts), strict=True))
        elif what < 0.75:
            other = self.nodes[rng.choice(sorted(self.nodes))]
            if other is not node and net.linked(node, other):
                net.unlink(node, other)
            elif other is not node:
                net.link(node, other, feed=rng.random() < 0.7)
        elif what < 0.85:
            node.store.failing = rng.choice((None, None, "full", "broken"))
        elif what < 0.9:
            node.store.delay_s = rng.choice((0.0001, 0.005, 0.2))
        elif what < 0.93:
            self.collect(name)
            self.backups.setdefault(name, (copy.deepcopy(node.store), list(self.delivered[name])))
        elif what < 0.96:
            self.restore(name)
        else:
            node.kill()
            self.collect(name)
            self.ids[name].clear()
            node.store.failing = None
            self.nodes[name] = net.restart(node, power_lost=rng.random() < 0.5)
        net.run(rng.choice((0.0, 0.001, 0.05, 1.0)))

    def restore(self, name: str) -> None:
        """A node goes on from an old copy of its store; it may or may not be noticed at once."""
        if name not in self.backups or self.restores >= RESTORES_MAX:
            return
        self.restores += 1
        node = self.nodes[name]
        node.kill()
        self.collect(name)
        self.ids[name].clear()
        store, delivered = self.backups.pop(name)
        store.generation = node.store.generation
        node.store, self.delivered[name] = store, delivered
        node.store.failing = None
        # What only the lost disk held is lost.
        elsewhere = {text for other in self.nodes.values() if other is not node for text in held_texts(other)}
        self.acknowledged &= elsewhere | held_texts(node)
        self.nodes[name] = self.net.restart(node, moved=self.rng.random() < 0.3, power_lost=self.rng.random() < 0.3)

    def heal(self) -> None:
        """All goes well for a while."""
        self.net.lose = lambda _a, _b, _payload, _feed: False
        self.net.late_s = lambda: 0.0
        nodes = list(self.nodes.values())
        for node in nodes:
            node.store.failing = None
            node.store.delay_s = 0.001
        for index, one in enumerate(nodes):
            for other in nodes[index + 1 :]:
                if not self.net.linked(one, other):
                    self.net.link(one, other)
        self.net.run(60.0)
        for name in self.nodes:
            self.collect(name)


def _check(life: _Life) -> None:
    nodes = life.nodes.values()
    assert len({node.hash() for node in nodes}) == 1
    everything = None
    for name, node in life.nodes.items():
        texts = [text for _author, text, *_rest in life.delivered[name]]
        assert len(texts) == len(set(texts)), f"{name} was told something twice"
        assert life.acknowledged <= set(texts), f"{name} lacks something acknowledged"
        everything = everything or set(texts)
        assert set(texts) == everything
        assert not node.data.publishing.is_pending(lobby())
        assert node.data.committing.is_idle
        assert node.data.fetching.requests == 0
        position: dict[tuple[PeerId, int], int] = {}
        for author, _text, backfill, log, first in life.delivered[name]:
            if not backfill and not node.data.ledger.rooms[lobby()].frontier.is_forked(author, log):
                assert position.get((author, log), 0) <= first, f"{name} was told of {author.hex()} out of order"
                position[(author, log)] = first
        assert not [fault for fault in node.faults if fault.fault.reason not in ("protocol",)], node.faults


@pytest.mark.parametrize("seed", range(12))
def test_all_nodes_end_with_the_same_after_a_life_of_faults(seed: int) -> None:
    """Loss, doubling, reordering, flapping links, failing stores and crashes leave no trace once it is quiet."""
    life = _Life(seed)
    for _ in range(60):
        life.step()
    life.heal()
    _check(life)
    assert life.acknowledged


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(1_000, 2**32), steps=st.integers(5, 50))
def test_random_lives_end_with_the_same(seed: int, steps: int) -> None:
    """The same for seeds that nobody chose."""
    life = _Life(seed)
    for _ in range(steps):
        life.step()
    life.heal()
    _check(life)
