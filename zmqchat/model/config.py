"""Timings and choices of a node; checked when built, never changed while it runs."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from zmqchat.model.errors import BadConfig
from zmqchat.model.limits import FULL_MESH_AGAIN_MEMBERS, FULL_MESH_MEMBERS_MAX, KEPT_MIB, NEIGHBOURS


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What a machine needs to know of the outside; all times in seconds.

    ping_idle_s               an idle link is pinged after this silence
    link_dead_s               a link without any sign of life for this long is dead
    offline_s                 a peer without a link for this long is shown offline
    redial_max_s              longest wait between dials of a peer lost less than recent_s ago
    recent_s                  how long a lost peer counts as recent
    redial_gone_max_s         longest wait between dials of a peer long gone
    dial_timeout_s            an unanswered HELLO is given up after this
    duplicate_probe_s         how long an old session may take to answer when its id dials again
    have_author_s             a HAVE to the author or the link a batch came by is sent within this
    have_others_s             a HAVE to the other members is sent within this
    have_merged_s             a relay gathers HAVEs for their author over this
    offer_min_s               an author without HAVE offers its frontier after max(this, 3 RTT)
    sync_interval_s           anti-entropy with one random peer, on average
    sync_jitter               and by what fraction it varies
    sync_idle_s               an exchange without progress is dropped after this
    gap_wait_s                how long a cursor waits for a missing part that is being sent
    read_marker_s             read markers of a room are coalesced over this
    log_probe_s               how long to wait for peers before the first append after a power loss
    peer_exchange_s           addresses of peers are told again after this
    roster_known_s            a member heard of for this long keeps its place in the roster
    roster_sync_s             rosters are compared with one random peer, on average
    doubt_s                   a broken link may take this long to come back before its peer is suspected
    suspect_s                 how long a suspected member has to answer
    confirm_s                 the same for one that others hold for dead already
    gap_after_s               a live member that can't be linked to for this long is reached through others
    penalty_max_s             longest wait for a peer that misbehaves
    full_mesh_max             live members up to which everybody links to everybody
    full_mesh_again           live members below which a partial mesh is full again
    neighbours                links that a node strives for in a partial mesh (it has 3/4 to 3/2 of this)
    shuffle_interval_s        how often it exchanges contacts with a random node
    visit_interval_s          how often its link to a random member of the whole mesh is another one
    keeps                     whether this node keeps rooms that it is not in for those who are
    keeper_mib                how much of them at most, in MiB
    keeper_days               and for how long
    keeper_known_s            only who has been known for this long is a keeper
    keeper_round_s            how often it is looked at who the keepers are
    keeper_patience_s         how long one must have been missed before another takes its place
    exchange_dials            whether addresses that peers tell are dialled (else only our own findings are)
    """

    ping_idle_s: float = 2.0
    link_dead_s: float = 6.0
    offline_s: float = 30.0
    redial_max_s: float = 4.0
    recent_s: float = 600.0
    redial_gone_max_s: float = 300.0
    dial_timeout_s: float = 2.0
    duplicate_probe_s: float = 0.5
    have_author_s: float = 0.05
    have_others_s: float = 1.0
    have_merged_s: float = 0.25
    offer_min_s: float = 0.5
    sync_interval_s: float = 10.0
    sync_jitter: float = 0.3
    sync_idle_s: float = 30.0
    gap_wait_s: float = 30.0
    read_marker_s: float = 2.0
    log_probe_s: float = 2.0
    peer_exchange_s: float = 60.0
    roster_known_s: float = 600.0
    roster_sync_s: float = 30.0
    doubt_s: float = 3.0
    suspect_s: float = 15.0
    confirm_s: float = 3.0
    gap_after_s: float = 5.0
    penalty_max_s: float = 600.0
    full_mesh_max: int = FULL_MESH_MEMBERS_MAX
    full_mesh_again: int = FULL_MESH_AGAIN_MEMBERS
    neighbours: int = NEIGHBOURS
    shuffle_interval_s: float = 30.0
    visit_interval_s: float = 60.0
    keeps: bool = True
    keeper_mib: float = KEPT_MIB
    keeper_days: float = 30.0
    keeper_known_s: float = 600.0
    keeper_round_s: float = 15.0
    keeper_patience_s: float = 60.0
    exchange_dials: bool = True

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type in ("bool", bool):
                continue
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1e6:
                raise BadConfig(f"{field.name} must be a positive number, not {value!r}")
        ordered = (
            ("ping_idle_s", "link_dead_s"),
            ("link_dead_s", "offline_s"),
            ("redial_max_s", "redial_gone_max_s"),
            ("have_author_s", "offer_min_s"),
            ("full_mesh_again", "full_mesh_max"),
            ("confirm_s", "suspect_s"),
            ("suspect_s", "offline_s"),
            ("doubt_s", "gap_after_s"),
        )
        for low, high in ordered:
            if getattr(self, low) >= getattr(self, high):
                raise BadConfig(f"{low} must be less than {high}")
        if self.neighbours < 2:
            raise BadConfig("neighbours must be 2 or more, else a mesh falls apart")
        if self.sync_jitter >= 1:
            raise BadConfig("sync_jitter is a fraction below 1")

    def scaled(self, factor: float) -> Config:
        """The same with each time multiplied by `factor`: integration tests divide all by ten."""
        times = {f.name: getattr(self, f.name) * factor for f in fields(self) if f.name.endswith("_s")}
        return replace(self, **times)
