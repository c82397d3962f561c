"""Survey: who has links to whom, asked of the linked peers when a person looks at the mesh.

How it works. LINKS ASKED with a token goes to each linked peer, and is answered at once by LINKS TOLD: the links of
the answerer, and those that its own links have told it of theirs by peer exchange. Nothing is passed on, so a question
costs one small frame a link and one answer of a few KiB at most, and a mesh that nobody looks at pays nothing.
In a partial mesh, where a node hears by itself of links up to two hops away, it learns so of those up to four away.

What is told is hearsay, kept for KEPT_S and only while its teller is linked. A second question of one peer within
ASK_AGAIN_S is not answered; nodes that do not know these frames skip them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from zmqchat.model.ids import PeerId
from zmqchat.model.limits import PEERS_LIVE_MAX, SURVEY_LISTS_MAX
from zmqchat.protocol.facts import Instant
from zmqchat.protocol.machine import Machine, PeerUnlinked, SendFrame, Size
from zmqchat.wire.frames import encode
from zmqchat.wire.survey_frames import LinksAsked, LinksOf, LinksTold, pack_prefixes, unpack_prefixes

ASK_AGAIN_S: Final = 0.5
KEPT_S: Final = 60.0
"""How long an answer is shown after it came: links change, and nobody tells of those far away."""
OTHERS_LINKS_MAX: Final = 32
"""Links told of a node that is not the answerer: nodes of a partial mesh have no more."""


class Survey(Machine):
    """Asks and answers; `known` is what was told.

    linked      the peers that this node has links to
    linked_of   what linked peers have told of their links
    """

    timer = "survey"

    def __init__(
        self,
        me: PeerId,
        linked: Callable[[], Iterable[PeerId]],
        linked_of: Mapping[PeerId, Iterable[PeerId]],
    ) -> None:
        super().__init__()
        self._me = me
        self._linked = linked
        self._linked_of = linked_of
        self._token = 0
        self._awaited: dict[PeerId, int] = {}
        self._told: dict[PeerId, tuple[float, tuple[LinksOf, ...]]] = {}
        self._answered_s: dict[PeerId, float] = {}
        self.facts = {PeerUnlinked: self._unlinked}
        self.frames = {LinksAsked: self._asked, LinksTold: self._answered}

    def sizes(self) -> tuple[Size, ...]:
        """Answers that are kept."""
        return (Size("answers", len(self._told), PEERS_LIVE_MAX),)

    def ask(self) -> None:
        """Ask all linked peers; what a former question has not brought by now does not count any more."""
        self._token += 1
        peers = sorted(self._linked())
        self._awaited = dict.fromkeys(peers, self._token)
        payload = encode(LinksAsked(token=self._token))
        self.outbox.extend(SendFrame(peer=peer, payload=payload) for peer in peers)

    @property
    def is_complete(self) -> bool:
        """Whether all that were asked and are still linked have answered."""
        return not self._awaited

    def known(self, now_s: float) -> list[tuple[bytes, list[bytes]]]:
        """By prefixes of ids: nodes and the links that somebody has told of them."""
        return [
            (each.owner, unpack_prefixes(each.others))
            for told_s, lists in self._told.values()
            if now_s - told_s < KEPT_S
            for each in lists
        ]

    def _unlinked(self, fact: PeerUnlinked, _at: Instant) -> None:
        self._awaited.pop(fact.peer, None)
        self._told.pop(fact.peer, None)
        self._answered_s.pop(fact.peer, None)

    def _asked(self, peer: PeerId, frame: LinksAsked, at: Instant) -> None:
        if at.now_s - self._answered_s.get(peer, float("-inf")) < ASK_AGAIN_S:
            return
        self._answered_s[peer] = at.now_s
        own = sorted(self._linked())[:PEERS_LIVE_MAX]
        lists = [LinksOf(pack_prefixes([self._me]), pack_prefixes([*own]))]
        for other in own:
            others = sorted(self._linked_of.get(other, ()))
            if others and other != peer and len(others) <= OTHERS_LINKS_MAX and len(lists) < SURVEY_LISTS_MAX:
                lists.append(LinksOf(pack_prefixes([other]), pack_prefixes([*others])))
        self.outbox.append(SendFrame(peer=peer, payload=encode(LinksTold(token=frame.token, lists=tuple(lists)))))

    def _answered(self, peer: PeerId, frame: LinksTold, at: Instant) -> None:
        if self._awaited.get(peer) == frame.token:
            del self._awaited[peer]
            self._told[peer] = (at.now_s, frame.lists)
