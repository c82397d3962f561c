"""One frame of each type, and strategies that build any: for round trips, fuzzing and the vectors."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.support.rostersamples import ROSTER_FRAMES, ROSTER_SAMPLES
from zmqchat.model.addresses import Endpoint
from zmqchat.model.ids import MeshId, PeerId, RoomId
from zmqchat.model.limits import NUMBER_MAX
from zmqchat.wire import frames, gap_frames, overlay_frames, survey_frames, tree_frames
from zmqchat.wire.fields import U64_MAX


def _run(first: int, size: int) -> bytes:
    """Bytes that count up, so that a mixed-up field shows."""
    return bytes((first + index) % 256 for index in range(size))


PEER = PeerId(_run(0x00, 32))
OTHER = PeerId(_run(0x20, 32))
MESH = MeshId(_run(0x40, 32))
ROOM = RoomId(_run(0x60, 16))
OTHER_ROOM = RoomId(_run(0x70, 16))
NONCE = _run(0x80, 16)
STORE = _run(0x90, 16)
BRANCH = bytes(8)
HEAD = _run(0xA0, 32)
PREVIOUS = _run(0xC0, 32)
SIGNATURE = _run(0x10, 64)
ENDPOINTS = (Endpoint("192.168.1.7", 42100, 42101, 42102), Endpoint("fe80::1%eth0", 42100, 42101, 42102))

SAMPLES: dict[str, frames.Frame] = {
    "hello": frames.Hello(
        versions=(1, 2),
        features=("compress",),
        peer=PEER,
        mesh=MESH,
        instance=NONCE,
        store=STORE,
        generation=7,
        endpoints=ENDPOINTS,
    ),
    "welcome": frames.Welcome(
        version=1,
        features=(),
        peer=OTHER,
        hello_instance=NONCE,
        instance=STORE,
        store=NONCE,
        generation=2**63,
        endpoints=ENDPOINTS,
        observed="192.168.1.9",
        signature=SIGNATURE,
    ),
    "refused": frames.Refused(
        reason="mesh", detail="another mesh", versions=(1,), peer=OTHER, hello_instance=NONCE, signature=SIGNATURE
    ),
    "link": frames.Link(instance=NONCE),
    "linked": frames.Linked(instance=STORE),
    "ping": frames.Ping(token=1, wall_ms=1_700_000_000_000),
    "pong": frames.Pong(token=1, wall_ms=1_700_000_000_001),
    "bye": frames.Bye(reason="stop"),
    "peers": frames.Peers(entries=(frames.PeerEntry(PEER, True, ENDPOINTS), frames.PeerEntry(OTHER, False, ()))),
    "interest": frames.Interest(rooms=(ROOM, OTHER_ROOM)),
    "keeps": frames.Keeps(rooms=(ROOM,)),
    "let go": frames.LetGo(room=ROOM, entries=(frames.LogFloor(7, 1_000), frames.LogFloor(8, 1))),
    "duplicate": frames.Duplicate(instance=STORE),
    "join": overlay_frames.Join(),
    "forward join": overlay_frames.ForwardJoin(newcomer=overlay_frames.Contact(OTHER, ENDPOINTS), hops=6),
    "neighbour": overlay_frames.Neighbour(priority=2),
    "neighbour answer": overlay_frames.NeighbourAnswer(accepted=True),
    "part": overlay_frames.Part(),
    "shuffle": overlay_frames.Shuffle(
        origin=overlay_frames.Contact(PEER, ENDPOINTS),
        token=12,
        hops=6,
        entries=(overlay_frames.Contact(OTHER, ENDPOINTS[:1]), overlay_frames.Contact(PEER, ())),
    ),
    "shuffle reply": overlay_frames.ShuffleReply(token=12, entries=(overlay_frames.Contact(OTHER, ENDPOINTS),)),
    "push": frames.Push(batch=b"\x93\xc4\x00\x90\xc4\x00"),
    "have": frames.Have(room=ROOM, holder=PEER, entries=(frames.HaveEntry(OTHER, 3, BRANCH, 1_000),)),
    "summary": frames.Summary(exchange=5, hash=NONCE, reply=False),
    "room hashes": frames.RoomHashes(
        exchange=5, entries=(frames.RoomHash(ROOM, NONCE), frames.RoomHash(OTHER_ROOM, STORE)), final=True
    ),
    "frontiers": frames.Frontiers(
        exchange=5,
        room=ROOM,
        entries=(
            frames.LogState(
                OTHER,
                3,
                BRANCH,
                10,
                (frames.RangeState(10, 20, HEAD, PREVIOUS), frames.RangeState(30, NUMBER_MAX, PREVIOUS, HEAD)),
            ),
        ),
        final=False,
    ),
    "want": frames.Want(
        request=9, room=ROOM, author=OTHER, log=3, branch=BRANCH, first=20, end=U64_MAX, credit=8, newest_first=True
    ),
    "page": frames.Page(request=9, batches=(b"one", b""), done=False),
    "credit": frames.Credit(request=9, pages=4),
    "denied": frames.Denied(room=ROOM, author=OTHER, log=3, reason="quota"),
    "inquire": frames.Inquire(token=11),
    "relay": tree_frames.Relay(hops=3, batch=b"\x93\xc4\x00\x90\xc4\x00"),
    "ihave": tree_frames.IHave(room=ROOM, entries=(tree_frames.Announced(NONCE, 2), tree_frames.Announced(STORE, 255))),
    "graft": tree_frames.Graft(room=ROOM, id=NONCE),
    "prune": tree_frames.Prune(room=ROOM),
    "holders": tree_frames.Holders(
        room=ROOM, author=OTHER, log=3, branch=BRANCH, holders=(tree_frames.Holder(PEER, 1_000),)
    ),
    "taken": tree_frames.Taken(size_bytes=2**40),
    "withheld": tree_frames.Withheld(room=ROOM, id=NONCE),
    "gapped": gap_frames.Gapped(on=True, links=(bytes(8), b"\xff" * 8)),
    "spare": gap_frames.Spare(author=OTHER),
    "report": frames.Report(token=11, lines=(("linked", "yes"), ("found by", "mdns"))),
    "links asked": survey_frames.LinksAsked(token=13),
    "links told": survey_frames.LinksTold(
        token=13,
        lists=(survey_frames.LinksOf(PEER[:8], OTHER[:8] + MESH[:8]), survey_frames.LinksOf(OTHER[:8], b"")),
    ),
    **ROSTER_SAMPLES,
}

_number = st.integers(0, NUMBER_MAX)
_u64 = st.integers(0, U64_MAX)
_bytes = {size: st.binary(min_size=size, max_size=size) for size in (8, 16, 32, 64)}
_peer = _bytes[32].map(PeerId)
_room = _bytes[16].map(RoomId)
_endpoints = st.lists(st.builds(Endpoint, st.text(max_size=60), *[st.integers(0, 65535)] * 3), max_size=4).map(tuple)
_versions = st.lists(st.integers(0, 255), max_size=16).map(tuple)
_features = st.lists(st.text(max_size=16), max_size=4).map(tuple)
_have = st.builds(frames.HaveEntry, _peer, _number, _bytes[8], _number)
_ranges = st.lists(st.builds(frames.RangeState, _number, _number, _bytes[32], _bytes[32]), max_size=8).map(tuple)
_contact = st.builds(overlay_frames.Contact, _peer, _endpoints)
_contacts = st.lists(_contact, max_size=8).map(tuple)
_log = st.builds(frames.LogState, _peer, _number, _bytes[8], _number, _ranges)

FRAMES: st.SearchStrategy[frames.Frame] = st.one_of(
    st.builds(
        frames.Hello,
        versions=_versions,
        features=_features,
        peer=_peer,
        mesh=_bytes[32].map(MeshId),
        instance=_bytes[16],
        store=_bytes[16],
        generation=_u64,
        endpoints=_endpoints,
    ),
    st.builds(
        frames.Welcome,
        version=st.integers(0, 255),
        features=_features,
        peer=_peer,
        hello_instance=_bytes[16],
        instance=_bytes[16],
        store=_bytes[16],
        generation=_u64,
        endpoints=_endpoints,
        observed=st.text(max_size=60),
        signature=_bytes[64],
    ),
    st.builds(
        frames.Refused,
        reason=st.text(max_size=8),
        detail=st.text(max_size=60),
        versions=_versions,
        peer=_peer,
        hello_instance=_bytes[16],
        signature=_bytes[64],
    ),
    st.builds(frames.Link, instance=_bytes[16]),
    st.builds(frames.Linked, instance=_bytes[16]),
    st.builds(frames.Ping, token=_u64, wall_ms=_u64),
    st.builds(frames.Pong, token=_u64, wall_ms=_u64),
    st.builds(frames.Bye, reason=st.text(max_size=16)),
    st.builds(
        frames.Peers,
        entries=st.lists(st.builds(frames.PeerEntry, _peer, st.booleans(), _endpoints), max_size=4).map(tuple),
    ),
    st.builds(frames.Interest, rooms=st.lists(_room, max_size=8).map(tuple)),
    st.builds(frames.Keeps, rooms=st.lists(_room, max_size=8).map(tuple)),
    st.builds(
        frames.LetGo,
        room=_room,
        entries=st.lists(st.builds(frames.LogFloor, _number, _number), max_size=4).map(tuple),
    ),
    st.builds(frames.Duplicate, instance=_bytes[16]),
    st.builds(overlay_frames.Join),
    st.builds(overlay_frames.ForwardJoin, newcomer=_contact, hops=st.integers(0, 8)),
    st.builds(overlay_frames.Neighbour, priority=st.integers(0, 3)),
    st.builds(overlay_frames.NeighbourAnswer, accepted=st.booleans()),
    st.builds(overlay_frames.Part),
    st.builds(overlay_frames.Shuffle, origin=_contact, token=_u64, hops=st.integers(0, 8), entries=_contacts),
    st.builds(overlay_frames.ShuffleReply, token=_u64, entries=_contacts),
    st.builds(frames.Push, batch=st.binary(max_size=64)),
    st.builds(frames.Have, room=_room, holder=_peer, entries=st.lists(_have, max_size=4).map(tuple)),
    st.builds(frames.Summary, exchange=_u64, hash=_bytes[16], reply=st.booleans()),
    st.builds(
        frames.RoomHashes,
        exchange=_u64,
        entries=st.lists(st.builds(frames.RoomHash, _room, _bytes[16]), max_size=4).map(tuple),
        final=st.booleans(),
    ),
    st.builds(
        frames.Frontiers,
        exchange=_u64,
        room=_room,
        entries=st.lists(_log, max_size=3).map(tuple),
        final=st.booleans(),
    ),
    st.builds(
        frames.Want,
        request=_u64,
        room=_room,
        author=_peer,
        log=_number,
        branch=_bytes[8],
        first=_number,
        end=_u64,
        credit=st.integers(0, 65535),
        newest_first=st.booleans(),
    ),
    st.builds(
        frames.Page,
        request=_u64,
        batches=st.lists(st.binary(max_size=32), max_size=4).map(tuple),
        done=st.booleans(),
    ),
    st.builds(frames.Credit, request=_u64, pages=st.integers(0, 65535)),
    st.builds(frames.Denied, room=_room, author=_peer, log=_number, reason=st.text(max_size=16)),
    st.builds(tree_frames.Relay, hops=st.integers(0, 255), batch=st.binary(max_size=64)),
    st.builds(
        tree_frames.IHave,
        room=_room,
        entries=st.lists(st.builds(tree_frames.Announced, _bytes[16], st.integers(0, 255)), max_size=4).map(tuple),
    ),
    st.builds(tree_frames.Graft, room=_room, id=_bytes[16]),
    st.builds(tree_frames.Prune, room=_room),
    st.builds(tree_frames.Withheld, room=_room, id=_bytes[16]),
    st.builds(
        tree_frames.Holders,
        room=_room,
        author=_peer,
        log=_number,
        branch=_bytes[8],
        holders=st.lists(st.builds(tree_frames.Holder, _peer, _number), max_size=4).map(tuple),
    ),
    st.builds(tree_frames.Taken, size_bytes=_u64),
    st.builds(gap_frames.Gapped, on=st.booleans(), links=st.lists(_bytes[8], max_size=4).map(tuple)),
    st.builds(gap_frames.Spare, author=_peer),
    st.builds(frames.Inquire, token=_u64),
    st.builds(
        frames.Report,
        token=_u64,
        lines=st.lists(st.tuples(st.text(max_size=16), st.text(max_size=64)), max_size=4).map(tuple),
    ),
    st.builds(survey_frames.LinksAsked, token=_u64),
    st.builds(
        survey_frames.LinksTold,
        token=_u64,
        lists=st.lists(
            st.builds(survey_frames.LinksOf, _bytes[8], st.lists(_bytes[8], max_size=4).map(b"".join)), max_size=4
        ).map(tuple),
    ),
    ROSTER_FRAMES,
)
"""Any frame, each field anywhere in its range."""
