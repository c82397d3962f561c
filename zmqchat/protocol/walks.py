"""Random walks through a partial mesh: newcomers, and samples of contacts (HyParView, sections 4.2 and 4.4).

How it works. A newcomer's contact goes ACTIVE_WALK hops from each neighbour of whom it joined by. Its last node links
to it, which `Overlay` does, and the one PASSIVE_WALK hops before keeps it in reserve. A shuffle goes as far, and its
last node answers with as many contacts of its own reserve; what either side sent gives way to what it got.

Endpoints are filtered at each hop, as in peer exchange: loopback ones mean something over loopback links alone,
scoped ones never. Who can't be dialled is named without an endpoint, which nobody keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import Final

from zmqchat.model.addresses import Endpoint
from zmqchat.model.ids import PeerId
from zmqchat.model.limits import ENDPOINTS_PER_PEER_MAX
from zmqchat.protocol.addressbook import is_usable
from zmqchat.protocol.facts import Instant
from zmqchat.protocol.reach import Reach
from zmqchat.protocol.shuffles import Shuffles
from zmqchat.protocol.views import ActiveView, Linked, PassiveView
from zmqchat.wire.frames import Frame
from zmqchat.wire.overlay_frames import Contact, ForwardJoin, Shuffle, ShuffleReply

ACTIVE_WALK: Final = 6
"""Hops of a walk (ARWL in the paper)."""
PASSIVE_WALK: Final = 3
"""Hops before its end where a newcomer goes into the reserve (PRWL)."""
SHUFFLE_NEIGHBOURS: Final = 3
SHUFFLE_PASSIVE: Final = 4
"""Contacts of each kind in a shuffle (ka and kp)."""


class Walks:
    """The part of `Overlay` that passes walks on."""

    def __init__(
        self,
        me: PeerId,
        rng: Random,
        active: ActiveView,
        passive: PassiveView,
        reach: Reach,
        is_valid_peer: Callable[[PeerId], bool],
        send: Callable[[PeerId, Frame], None],
    ) -> None:
        self._me = me
        self._rng = rng
        self._active = active
        self._passive = passive
        self._reach = reach
        self._is_valid_peer = is_valid_peer
        self._send = send
        self.shuffles = Shuffles(rng)
        self.own: tuple[Endpoint, ...] = ()

    # Newcomers ------------------------------------------------------------------------------------------

    def begin_join(self, newcomer: PeerId, link: Linked) -> None:
        """Send a newcomer's contact on a walk from each neighbour."""
        for other in self._active.neighbours:
            if other != newcomer:
                self._send_join(other, Contact(newcomer, link.endpoints), ACTIVE_WALK)

    def _send_join(self, to: PeerId, newcomer: Contact, hops: int) -> None:
        link = self._active.links[to]
        if link.speaks:
            self._send(to, ForwardJoin(newcomer=tellable(newcomer, link), hops=hops))

    def forward_join(self, peer: PeerId, link: Linked, frame: ForwardJoin, at: Instant) -> Contact | None:
        """Pass a newcomer on; at the end of its walk it is given back, to be linked to."""
        newcomer = tellable(frame.newcomer, link)
        if not self._is_valid_peer(newcomer.peer) or newcomer.peer == self._me:
            return None
        onward = self._active.random((peer, newcomer.peer))
        if frame.hops == 0 or onward is None:
            return newcomer
        if frame.hops == PASSIVE_WALK:
            self.keep(newcomer, peer, link, at)
        self._send_join(onward, newcomer, frame.hops - 1)
        return None

    # Shuffles -------------------------------------------------------------------------------------------

    def begin_shuffle(self, at: Instant) -> None:
        """Send a sample of what we know to a random neighbour."""
        to = self._active.random()
        if to is None:
            return
        links = self._active.links
        told = [p for p in self._active.neighbours if p != to and p not in self._reach.undiallable]
        chosen = self._rng.sample(told, min(SHUFFLE_NEIGHBOURS, len(told)))
        entries = [Contact(peer, links[peer].endpoints) for peer in chosen] + self._passive.sample(SHUFFLE_PASSIVE)
        token = self.shuffles.begin(to, tuple(entry.peer for entry in entries), at.now_s)
        origin = Contact(self._me, () if self._reach.nobody_reaches_us else self.own)
        self._send_shuffle(to, origin, token, ACTIVE_WALK, entries)

    def _send_shuffle(self, to: PeerId, origin: Contact, token: int, hops: int, entries: Iterable[Contact]) -> None:
        link = self._active.links[to]
        told = tuple(tellable(entry, link) for entry in entries)
        self._send(to, Shuffle(origin=tellable(origin, link), token=token, hops=hops, entries=told))

    def shuffle(self, peer: PeerId, link: Linked, frame: Shuffle, at: Instant) -> None:
        """Pass another's shuffle on, or answer it at the end of its walk."""
        if frame.origin.peer == self._me:
            return
        origin = tellable(frame.origin, link)
        entries = [tellable(entry, link) for entry in frame.entries]
        onward = self._active.random((peer, origin.peer))
        if frame.hops > 1 and onward is not None and not self.shuffles.is_known(frame.token):
            self.shuffles.passed_on(frame.token, peer, onward, at.now_s)
            self._send_shuffle(onward, origin, frame.token, frame.hops - 1, entries)
            return
        answer = self._passive.sample(len(entries))
        self._send(peer, ShuffleReply(token=frame.token, entries=tuple(tellable(entry, link) for entry in answer)))
        sent = [contact.peer for contact in answer]
        for contact in (origin, *entries):
            self.keep(contact, peer, link, at, sent)

    def shuffle_reply(self, peer: PeerId, link: Linked, frame: ShuffleReply, at: Instant) -> None:
        """Take the answer to a shuffle of ours, or pass it back."""
        way = self.shuffles.answered(frame.token, peer)
        if way is None:
            return
        back, sent = way
        entries = [tellable(contact, link) for contact in frame.entries]
        if back is None:
            for contact in entries:
                self.keep(contact, peer, link, at, sent)
        elif back in self._active.links:
            told = tuple(tellable(contact, self._active.links[back]) for contact in entries)
            self._send(back, ShuffleReply(token=frame.token, entries=told))

    def keep(self, contact: Contact, teller: PeerId, link: Linked, at: Instant, sent: Iterable[PeerId] = ()) -> None:
        """Put a contact into the reserve, as far as its teller's pace allows."""
        peer = contact.peer
        if peer == self._me or peer in self._active.links or peer in self._passive or not contact.endpoints:
            return
        if self._is_valid_peer(peer) and link.contacts.take(at.now_s):
            self._passive.add(contact, teller, sent)


def tellable(contact: Contact, link: Linked) -> Contact:
    """A contact with the endpoints that mean something at the other end of this link, or that may come from it."""
    places = (e for e in contact.endpoints if is_usable(e, loopback=link.over_loopback) and "%" not in e.host)
    return Contact(contact.peer, tuple(places)[:ENDPOINTS_PER_PEER_MAX])
