"""Inquiry: `doctor PEER` asks the other side what it thinks of this one.

How it works. INQUIRE with a token, answered by REPORT with the same token and lines of a name and a value.
What the lines say is for people: what `describe` gives of a peer here. A second question of one peer within
INQUIRY_WAIT_S is not answered; a report that nobody waits for is dropped.
"""

from __future__ import annotations

from collections.abc import Callable

from zmqchat.model.ids import PeerId
from zmqchat.protocol.effects import PeerReported
from zmqchat.protocol.facts import Instant
from zmqchat.protocol.machine import Machine, PeerUnlinked, SendFrame
from zmqchat.wire.frames import Inquire, Report, encode

INQUIRY_WAIT_S = 0.2

Lines = tuple[tuple[str, str], ...]


class Inquiry(Machine):
    """Answers and asks."""

    timer = "inquiry"

    def __init__(self, describe: Callable[[PeerId, Instant], Lines]) -> None:
        super().__init__()
        self._describe = describe
        self._answered_s: dict[PeerId, float] = {}
        self._asked: dict[int, PeerId] = {}
        self._token = 0
        self.facts = {PeerUnlinked: self._unlinked}
        self.frames = {Inquire: self._inquired, Report: self._reported}

    def ask(self, peer: PeerId) -> int:
        """Ask a linked peer; PeerReported with this token is the answer."""
        self._token += 1
        self._asked[self._token] = peer
        self.outbox.append(SendFrame(peer=peer, payload=encode(Inquire(token=self._token))))
        return self._token

    def forget(self, token: int) -> None:
        """Nobody waits for this answer any more."""
        self._asked.pop(token, None)

    def _unlinked(self, fact: PeerUnlinked, _at: Instant) -> None:
        self._answered_s.pop(fact.peer, None)

    def _inquired(self, peer: PeerId, frame: Inquire, at: Instant) -> None:
        if at.now_s - self._answered_s.get(peer, float("-inf")) < INQUIRY_WAIT_S:
            return
        self._answered_s[peer] = at.now_s
        lines = self._describe(peer, at)
        self.outbox.append(SendFrame(peer=peer, payload=encode(Report(token=frame.token, lines=lines))))

    def _reported(self, peer: PeerId, frame: Report, _at: Instant) -> None:
        if self._asked.get(frame.token) == peer:
            del self._asked[frame.token]
            self.outbox.append(PeerReported(peer=peer, token=frame.token, lines=frame.lines))
