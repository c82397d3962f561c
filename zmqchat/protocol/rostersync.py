"""Anti-entropy of the roster: two nodes that know of different members find out which, and tell each other.

How it works (Demers and others, PODC 1987, section 1.3, with sums as hashes). Every roster_sync_s with one random
link, and COMPARE_AFTER_S after a link came up, by the smaller id; where the link tells of gaps by then, at once:

    a  SUMMARY of all live members, itself among them  -->  b  equal: silence; else BUCKETS, a hash each
    a  of up to BUCKETS_AT_ONCE buckets that differ, a DIGEST of (member, version)
       b  the records that a lacks, who of them is dead here, and a DIGEST of its own where a has more
       a  the records that b lacks

Equal rosters cost one frame of 20 B. What is dead is in no hash, and told only to who believes it alive. Answers of
many records are not passed on: a newcomer does not tell its neighbours what they told it. `liveness` says who is dead.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from zmqchat.model.config import Config
from zmqchat.model.ids import PeerId
from zmqchat.model.limits import ROSTER_DIGEST_ENTRIES_MAX
from zmqchat.protocol.effects import SetTimer
from zmqchat.protocol.facts import Instant, NodeStarted, TimerFired
from zmqchat.protocol.liveness import liveness_frames
from zmqchat.protocol.machine import Machine, PeerLinked, PeerUnlinked, SendFrame
from zmqchat.protocol.recordpool import member_hash
from zmqchat.protocol.roster import Roster, record_frames
from zmqchat.protocol.roster_facts import LinkGapped
from zmqchat.wire.frames import encode
from zmqchat.wire.roster_frames import (
    DEAD,
    HASH_BYTES,
    PREFIX_BYTES,
    ROSTER_BUCKETS,
    DigestEntry,
    LivenessEntry,
    RosterBuckets,
    RosterDigest,
    RosterSummary,
    pack_digest,
    unpack_digest,
)

COMPARE_AFTER_S = 2.0
"""A fresh link is left this long for what its news bring, before rosters are compared over it."""
BUCKETS_AT_ONCE = 32
"""Buckets compared in one exchange: 100 KiB in a full roster. The next comes at once where more of them differ."""
AGAIN_S = 1.0
SUMMARY_WAIT_S = 0.5
"""A peer's summary sooner after its last one is not looked at."""
FEW = 8
"""So few records that were lacking may be lacking elsewhere too: they are told as news."""
DIGESTS_PER_EXCHANGE = 2 * BUCKETS_AT_ONCE
RECORDS_PER_EXCHANGE = 2_048
"""Digests that are answered, and records told, in one exchange: what its receiver takes at once."""


@dataclass(slots=True)
class _Exchange:
    """What a peer may still cost since the last summary, its or ours."""

    digests: int = DIGESTS_PER_EXCHANGE
    records: int = RECORDS_PER_EXCHANGE


class RosterSync(Machine):
    """The machine that compares rosters."""

    timer = "rostersync"

    def __init__(self, me: PeerId, config: Config, rng: Random, roster: Roster) -> None:
        super().__init__()
        self._me = me
        self._config = config
        self._rng = rng
        self._roster = roster
        self._asked: set[PeerId] = set()
        self._exchanges: dict[PeerId, _Exchange] = {}
        self._summary_at_s: dict[PeerId, float] = {}
        self._fresh_until_s: dict[PeerId, float] = {}
        self.facts = {
            NodeStarted: self._started,
            PeerLinked: self._linked,
            PeerUnlinked: self._unlinked,
            LinkGapped: self._gapped,
            TimerFired: self._timer_fired,
        }
        self.frames = {RosterSummary: self._summary, RosterBuckets: self._buckets, RosterDigest: self._digest}

    def _started(self, _fact: NodeStarted, at: Instant) -> None:
        self._next_round(at)

    def _next_round(self, at: Instant) -> None:
        jitter = self._config.sync_jitter
        wait_s = self._config.roster_sync_s * self._rng.uniform(1 - jitter, 1 + jitter)
        self.outbox.append(SetTimer(name=(self.timer, "round"), at_s=at.now_s + wait_s))

    def _linked(self, fact: PeerLinked, at: Instant) -> None:
        if not self._roster.is_linked(fact.peer):
            return
        self._fresh_until_s[fact.peer] = at.now_s + COMPARE_AFTER_S
        if self._me < fact.peer:
            self._compare_in(COMPARE_AFTER_S, fact.peer, at)

    def _gapped(self, fact: LinkGapped, at: Instant) -> None:
        """We may be the relay that was missing: all wait until we know of those whom we can't reach either."""
        if at.now_s < self._fresh_until_s.pop(fact.peer, 0.0):
            self._compare_in(0.0, fact.peer, at)

    def _compare_in(self, wait_s: float, peer: PeerId, at: Instant) -> None:
        self.outbox.append(SetTimer(name=(self.timer, "peer", peer), at_s=at.now_s + wait_s))

    def _unlinked(self, fact: PeerUnlinked, _at: Instant) -> None:
        self._asked.discard(fact.peer)
        self._fresh_until_s.pop(fact.peer, None)
        self._exchanges.pop(fact.peer, None)
        self._summary_at_s.pop(fact.peer, None)
        self.outbox.append(SetTimer(name=(self.timer, "peer", fact.peer), at_s=None))

    def _timer_fired(self, fact: TimerFired, at: Instant) -> None:
        if fact.name[1] == "round":
            links = self._roster.links()
            if links:
                self._compare(self._rng.choice(links))
            self._next_round(at)
        elif isinstance(fact.name[2], bytes):
            self._compare(PeerId(fact.name[2]))

    def _compare(self, peer: PeerId) -> None:
        if not self._roster.is_linked(peer):
            return
        self._asked.add(peer)
        self._exchanges[peer] = _Exchange()
        table = self._roster.table
        self._send(peer, encode(RosterSummary(count=table.live_count, hash=self._hash())))

    def _send(self, peer: PeerId, payload: bytes) -> None:
        self.outbox.append(SendFrame(peer=peer, payload=payload))

    def _hashes(self) -> list[bytes]:
        """The hash of each bucket over all live members, ourselves among them."""
        joined: bytes = self._roster.table.bucket_hashes
        hashes = [joined[at : at + HASH_BYTES] for at in range(0, len(joined), HASH_BYTES)]
        if self._roster.own_raw:
            bucket = self._me[0]
            value = int.from_bytes(hashes[bucket], "big") + member_hash(self._me, self._roster.signed_version)
            hashes[bucket] = _hash_bytes(value)
        return hashes

    def _hash(self) -> bytes:
        """The hash over all of them: the sum of these."""
        value = int.from_bytes(self._roster.table.hash, "big")
        if self._roster.own_raw:
            value += member_hash(self._me, self._roster.signed_version)
        return _hash_bytes(value)

    # The exchange --------------------------------------------------------------------------------------

    def _summary(self, peer: PeerId, frame: RosterSummary, at: Instant) -> None:
        if not self._roster.is_linked(peer) or at.now_s - self._summary_at_s.get(peer, -1e9) < SUMMARY_WAIT_S:
            return
        self._summary_at_s[peer] = at.now_s
        if frame.hash != self._hash():
            self._exchanges[peer] = _Exchange()
            self._send(peer, encode(RosterBuckets(hashes=b"".join(self._hashes()))))

    def _buckets(self, peer: PeerId, frame: RosterBuckets, at: Instant) -> None:
        if peer not in self._asked:
            return
        self._asked.discard(peer)
        ours = self._hashes()
        differ = [
            bucket
            for bucket in range(ROSTER_BUCKETS)
            if frame.hashes[bucket * HASH_BYTES : (bucket + 1) * HASH_BYTES] != ours[bucket]
        ]
        if len(differ) > BUCKETS_AT_ONCE:
            differ = sorted(self._rng.sample(differ, BUCKETS_AT_ONCE))
            self._compare_in(AGAIN_S, peer, at)
        for bucket in differ:
            self._tell_bucket(peer, bucket, reply=False)

    def _tell_bucket(self, peer: PeerId, bucket: int, *, reply: bool) -> None:
        pool, table = self._roster.pool, self._roster.table
        entries = [
            DigestEntry(pool.peer(slot)[:PREFIX_BYTES], table.version(slot))
            for slot in table.live_in(bucket)[: ROSTER_DIGEST_ENTRIES_MAX - 1]
        ]
        if bucket == self._me[0] and self._roster.own_raw:
            entries.append(DigestEntry(self._me[:PREFIX_BYTES], self._roster.signed_version))
        self._send(peer, encode(RosterDigest(bucket=bucket, entries=pack_digest(entries), reply=reply)))

    def _digest(self, peer: PeerId, frame: RosterDigest, _at: Instant) -> None:
        exchange = self._exchanges.get(peer)
        if exchange is None or exchange.digests <= 0:
            return
        exchange.digests -= 1
        theirs: dict[bytes, int] = dict(unpack_digest(frame.entries))
        lacking, dead = self._differences(frame.bucket, theirs)
        lacking = lacking[: exchange.records]
        exchange.records -= len(lacking)
        for payload in [*record_frames(lacking, news=len(lacking) <= FEW), *liveness_frames(dead)]:
            self._send(peer, payload)
        if theirs and not frame.reply:
            self._tell_bucket(peer, frame.bucket, reply=True)

    def _differences(self, bucket: int, theirs: dict[bytes, int]) -> tuple[list[bytes], list[LivenessEntry]]:
        """The records that the peer lacks, and who is dead here; in `theirs` stays what we lack."""
        table, pool = self._roster.table, self._roster.pool
        lacking: list[bytes] = []
        dead: list[LivenessEntry] = []
        own = theirs.pop(self._me[:PREFIX_BYTES], -1)
        if bucket == self._me[0] and self._roster.own_raw and own < self._roster.signed_version:
            lacking.append(self._roster.own_raw)
        for slot in pool.bucket(bucket):
            member = pool.peer(slot)
            if not table.number(slot):
                continue
            ours, told = table.version(slot), theirs.get(member[:PREFIX_BYTES])
            if told is None or told <= ours:
                theirs.pop(member[:PREFIX_BYTES], None)
            if table.is_live(slot):
                if told is None or told < ours:
                    lacking.append(self._roster.raw(slot))
            elif told is not None and told <= ours:
                dead.append(LivenessEntry(member, ours, DEAD))
        return lacking, dead


def _hash_bytes(value: int) -> bytes:
    return (value & (1 << 8 * HASH_BYTES) - 1).to_bytes(HASH_BYTES, "big")
