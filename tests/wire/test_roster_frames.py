"""The roster's frames: records survive byte for byte, and nothing that claims to be one breaks the reader."""

from __future__ import annotations

import msgpack
from hypothesis import given
from hypothesis import strategies as st

from tests.support.rostersamples import RECORD
from zmqchat.model.addresses import Endpoint
from zmqchat.model.faults import Fault
from zmqchat.model.ids import PeerId
from zmqchat.model.limits import (
    LIVENESS_ENTRIES_PER_FRAME_MAX,
    RECORD_BYTES_MAX,
    RECORD_ROOMS_MAX,
    RECORDS_PER_FRAME_MAX,
    ROSTER_DIGEST_ENTRIES_MAX,
)
from zmqchat.wire.frames import decode, encode
from zmqchat.wire.roster_frames import (
    SUSPECT,
    DigestEntry,
    Liveness,
    LivenessEntry,
    MemberRecord,
    Records,
    RosterDigest,
    pack_digest,
    pack_record,
    room_hints,
    split_record,
    unpack_digest,
    unpack_record,
)

SIGNATURE = bytes(64)


@given(
    st.builds(
        MemberRecord,
        peer=st.binary(min_size=32, max_size=32).map(PeerId),
        version=st.integers(0, 2**53),
        features=st.lists(st.text(max_size=8), max_size=3).map(tuple),
        endpoints=st.lists(st.builds(Endpoint, st.text(max_size=20), *[st.integers(0, 65535)] * 3), max_size=4).map(
            tuple
        ),
        rooms=st.lists(st.binary(min_size=4, max_size=4), max_size=RECORD_ROOMS_MAX).map(tuple),
        more=st.booleans(),
    )
)
def test_any_record_comes_back(record: MemberRecord) -> None:
    """What was packed is read as it was, behind whatever signature."""
    raw = SIGNATURE + pack_record(record)
    if len(raw) <= RECORD_BYTES_MAX:
        assert unpack_record(raw) == record
        assert split_record(raw) == (SIGNATURE, pack_record(record))


@given(st.binary(max_size=600))
def test_random_bytes_are_a_record_or_a_fault(raw: bytes) -> None:
    """Nothing raises, whatever claims to be a record."""
    assert isinstance(unpack_record(raw), (MemberRecord, Fault))


def test_fields_of_a_later_version_are_ignored() -> None:
    """A record may grow at its end; what is appended stays under the signature."""
    values = msgpack.unpackb(pack_record(RECORD))
    raw = SIGNATURE + msgpack.packb([*values, "new", [1]])
    assert unpack_record(raw) == RECORD


def test_a_record_over_its_bound_is_a_fault() -> None:
    """Whoever names too much of itself is not read."""
    assert isinstance(unpack_record(SIGNATURE + bytes(RECORD_BYTES_MAX)), Fault)
    assert isinstance(unpack_record(SIGNATURE), Fault)
    many = RECORD._replace(endpoints=RECORD.endpoints * 9)
    assert isinstance(unpack_record(SIGNATURE + pack_record(many)), Fault)


def test_full_frames_fit_and_fuller_ones_are_faults() -> None:
    """As many records, suspicions and digests as may be in a frame survive; one more is refused."""
    for count in (0, 1):
        frames = (
            Records(records=(bytes(RECORD_BYTES_MAX),) * (RECORDS_PER_FRAME_MAX + count), news=False),
            Liveness(entries=(LivenessEntry(RECORD.peer, 2**53, SUSPECT),) * (LIVENESS_ENTRIES_PER_FRAME_MAX + count)),
            RosterDigest(
                bucket=0,
                entries=pack_digest([DigestEntry(bytes(8), 1)] * (ROSTER_DIGEST_ENTRIES_MAX + count)),
                reply=False,
            ),
        )
        for frame in frames:
            decoded = decode(encode(frame))
            assert isinstance(decoded, Fault) if count else decoded == frame


def test_a_state_is_suspect_or_dead() -> None:
    """Any other state is malformed: who lives, only its own record says."""
    for state in (0, 3, True, "1"):
        payload = bytes([52]) + msgpack.packb([[[RECORD.peer, 1, state]]])
        assert isinstance(decode(payload), Fault)


def test_a_digest_comes_back() -> None:
    """Prefixes and versions stand one after the other."""
    entries = [DigestEntry(bytes([n]) * 8, n) for n in range(3)]
    assert unpack_digest(pack_digest(entries)) == entries


def test_hints_name_sixteen_rooms_and_say_of_more() -> None:
    """The first rooms by hint are named; who is in others too is asked when it matters."""
    rooms = [bytes([n]) * 16 for n in range(RECORD_ROOMS_MAX + 1)]
    hints, more = room_hints(reversed(rooms))
    assert hints == tuple(room[:4] for room in rooms[:RECORD_ROOMS_MAX]) and more
    assert room_hints(rooms[:2]) == ((rooms[0][:4], rooms[1][:4]), False)
