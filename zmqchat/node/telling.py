"""What the machines tell, made into what the application hears: deliveries, receipts, presence, members, notices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zmqchat.model.ids import peer_short
from zmqchat.node.happenings import Happenings
from zmqchat.node.opening import Opened
from zmqchat.node.values import DuplicateIdentity, Member, MemberJoined, MemberLeft, PeerOffline, PeerOnline
from zmqchat.protocol import data_effects, effects


class Telling:
    """Who carries out the effects that are meant for the application."""

    def __init__(self, opened: Opened, happenings: Happenings, notice: Callable[[str], None]) -> None:
        self._opened = opened
        self._core = opened.core
        self._happenings = happenings
        self._notice = notice

    def appliers(self) -> dict[type[effects.Effect], Callable[[Any], None]]:
        """By type of effect, what is called with it."""
        core = self._core
        return {
            effects.Deliver: core.deliver,
            effects.PeerCameOnline: self._came_online,
            effects.PeerWentOffline: self._went_offline,
            effects.IdentityShared: self._identity_shared,
            effects.PeerReported: self._opened.reported,
            effects.Notice: lambda effect: self._notice(effect.text),
            data_effects.OwnStored: core.own_stored,
            data_effects.OwnFailed: core.own_failed,
            data_effects.ReceiptsChanged: core.receipts_changed,
            data_effects.MemberChanged: self._member_changed,
            data_effects.OwnLogDrawn: self._own_log_drawn,
            data_effects.LogDenied: self._log_denied,
            data_effects.LogForked: self._log_forked,
        }

    def _came_online(self, effect: effects.PeerCameOnline) -> None:
        target = self._core.machines.peers.book.of(effect.peer)
        self._opened.remembered.remember(effect.peer, target, self._opened.runner.now().wall_ms)
        self._happenings.tell(PeerOnline(self._core.peer(effect.peer)))

    def _went_offline(self, effect: effects.PeerWentOffline) -> None:
        self._happenings.tell(PeerOffline(self._core.peer(effect.peer)))

    def _identity_shared(self, effect: effects.IdentityShared) -> None:
        peer = self._core.peer(effect.peer)
        self._happenings.tell(DuplicateIdentity(peer, effect.ours))
        whose = "this node's identity" if effect.ours else f"the identity of {peer.name} ({peer_short(effect.peer)})"
        self._notice(f"{whose} is used by two running nodes: a copied home is a copied identity; remove one of them")

    def _own_log_drawn(self, effect: data_effects.OwnLogDrawn) -> None:
        if effect.reason == "clock":
            self._notice("this machine's clock was ahead and has been put right; set it by NTP; nothing is lost")

    def _log_denied(self, effect: data_effects.LogDenied) -> None:
        name = self._core.name_of(effect.peer)
        self._notice(f"{name} does not store more of this node's messages: {effect.reason}")

    def _log_forked(self, effect: data_effects.LogForked) -> None:
        name = self._core.name_of(effect.key.author)
        self._notice(f"{name} has two histories of one identity (a copied home?); both are kept")

    def _member_changed(self, effect: data_effects.MemberChanged) -> None:
        core = self._core
        room = core.rooms.get(effect.room)
        if room is None or not effect.live or effect.joined == effect.was_in:
            return
        is_online = effect.peer == core.me or core.is_online(effect.peer)
        member = Member(effect.peer, core.name_of(effect.peer, effect.room), is_online)
        self._happenings.tell(MemberJoined(room.name, member) if effect.joined else MemberLeft(room.name, member))
