"""The roster's frames: one of each, and strategies that build any, for `framesamples`."""

from __future__ import annotations

from hypothesis import strategies as st

from zmqchat.model.addresses import Endpoint
from zmqchat.model.ids import PeerId
from zmqchat.model.limits import NUMBER_MAX
from zmqchat.wire import roster_frames
from zmqchat.wire.codec import Frame
from zmqchat.wire.roster_frames import DEAD, SUSPECT, DigestEntry, LivenessEntry, MemberRecord

_MEMBER = PeerId(bytes(range(32)))
_SIGNATURE = bytes(range(64, 128))
RECORD = MemberRecord(
    peer=_MEMBER,
    version=1_700_000_000_000,
    features=("roster-1",),
    endpoints=(Endpoint("192.168.1.7", 42100, 42101, 42102),),
    rooms=(b"abcd", b"efgh"),
    more=False,
)

ROSTER_SAMPLES: dict[str, Frame] = {
    "records": roster_frames.Records(records=(_SIGNATURE + roster_frames.pack_record(RECORD),), news=True),
    "roster summary": roster_frames.RosterSummary(count=50_000, hash=bytes(range(8))),
    "liveness": roster_frames.Liveness(
        entries=(LivenessEntry(_MEMBER, 1_700_000_000_000, SUSPECT), LivenessEntry(_MEMBER, NUMBER_MAX, DEAD))
    ),
    "roster buckets": roster_frames.RosterBuckets(hashes=bytes(range(256)) * 8),
    "roster digest": roster_frames.RosterDigest(
        bucket=255, entries=roster_frames.pack_digest([DigestEntry(_MEMBER[:8], 1_700_000_000_000)]), reply=True
    ),
}

_number = st.integers(0, NUMBER_MAX)
_liveness = st.builds(
    LivenessEntry,
    st.binary(min_size=32, max_size=32).map(PeerId),
    _number,
    st.sampled_from((SUSPECT, DEAD)),
)
_digest = st.builds(DigestEntry, st.binary(min_size=8, max_size=8), _number)

ROSTER_FRAMES: st.SearchStrategy[Frame] = st.one_of(
    st.builds(
        roster_frames.Records,
        records=st.lists(st.binary(min_size=65, max_size=512), max_size=4).map(tuple),
        news=st.booleans(),
    ),
    st.builds(roster_frames.RosterSummary, count=_number, hash=st.binary(min_size=8, max_size=8)),
    st.builds(roster_frames.Liveness, entries=st.lists(_liveness, max_size=4).map(tuple)),
    st.builds(roster_frames.RosterBuckets, hashes=st.binary(min_size=2048, max_size=2048)),
    st.builds(
        roster_frames.RosterDigest,
        bucket=st.integers(0, 255),
        entries=st.lists(_digest, max_size=4).map(roster_frames.pack_digest),
        reply=st.booleans(),
    ),
)
