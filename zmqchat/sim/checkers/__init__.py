"""The checkers: objects apart from the nodes, which see only what a user could."""

from __future__ import annotations

from zmqchat.sim.checkers.agreement import Members, Presence, Receipts, Timelines
from zmqchat.sim.checkers.calm import Calm, Latency, Tree
from zmqchat.sim.checkers.conduct import Bounds, Clocks, Links, NoFault, NoFork
from zmqchat.sim.checkers.live import Live
from zmqchat.sim.checkers.messages import AuthorOrder, Complete, Durable, Faithful, Once
from zmqchat.sim.checks import Checker


def all_checkers() -> list[Checker]:
    """A fresh set for one run."""
    calm = Calm()
    return [
        Once(),
        Faithful(),
        AuthorOrder(),
        Complete(),
        Durable(),
        Timelines(),
        Members(),
        Presence(),
        Receipts(),
        NoFault(),
        NoFork(),
        Clocks(),
        Links(),
        Live(),
        Bounds(),
        Tree(calm),
        Latency(calm),
    ]
