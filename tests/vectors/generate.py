"""Writes the vectors beside it: run `python -m tests.vectors.generate` after a change that is meant.

Vectors are for whoever writes a second implementation: JSON, in which bytes are {"bytes": hex} and integers
above 2^53 are {"integer": decimal}, as not every reader of JSON keeps them. A change of one is a
change of the protocol: nodes that run already will not understand it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

from tests.support.framesamples import SAMPLES
from tests.support.histories import FakeBatch, Holder
from zmqchat.crypto.keys import DOOR_PUBLIC, DOOR_SECRET, Identity
from zmqchat.crypto.signing import IdentityCrypto
from zmqchat.history.batch import BATCH_SIGNATURE_LABEL, NO_DIGEST, Batch, seal
from zmqchat.model.events import Head, Kind
from zmqchat.model.ids import MessageId, PeerId, mesh_id, peer_short, peer_text, room_id
from zmqchat.model.limits import NUMBER_MAX
from zmqchat.protocol.admission import REFUSED_LABEL, WELCOME_LABEL
from zmqchat.wire.batches import pack_batch, peek_header
from zmqchat.wire.events import encode_event
from zmqchat.wire.frames import Refused, Welcome, encode, signed_part

FOLDER: Final = Path(__file__).resolve().parent
IDENTITY: Final = Identity(b"\x00" * 32)
OTHER: Final = Identity(b"\x01" * 32)
MESH: Final = mesh_id("zmqchat")
ROOMS_LABEL: Final = b"zmqchat-rooms-1"
ROOM: Final = room_id(MESH, "lobby")
SALT: Final = bytes(range(16))
HLC: Final = 1_700_000_000_000 << 16

EVENTS: Final[dict[str, tuple[int, Any, tuple[Head, ...]]]] = {
    "text": (Kind.TEXT, "Hello, World!", ()),
    "text in several scripts": (Kind.TEXT, "naïve 你好 \U0001f44b", (Head(IDENTITY.peer, 7, 3),)),
    "reply": (Kind.REPLY, [list(MessageId(IDENTITY.peer, 7, 2, b"12345678")), "yes"], ()),
    "profile": (Kind.PROFILE, ["Ann"], ()),
    "join": (Kind.MEMBER, [1], ()),
    "leave": (Kind.MEMBER, [2], ()),
    "read marker": (Kind.READ_MARKER, [[IDENTITY.peer, 7, bytes(8), 12]], ()),
    "app": (Kind.APP, ["application/json", {"t": 21.5, "on": True, "tags": ["a", None]}], ()),
    "unknown kind": (200, [1, b"opaque"], ()),
}

MALFORMED: Final = {
    "empty": "",
    "no fields": "12",
    "a field is missing": "129101",
    "a byte too many": "1292010200",
    "true for a number": "1292c302",
    "a float for a number": "1292cb3ff000000000000002",
    "a negative number": "1292ff02",
    "a map for the array": "1282010203ff",
    "text for bytes": "1091b0" + "61" * 16,
    "15 bytes of 16": "1091c40f" + "00" * 15,
    "an extension": "1292d6ff0000000102",
    "a length of 2^32": "12ddffffffff",
    "text that is no UTF-8": "1491a1ff",
    "seventeen levels": "12" + "91" * 17 + "00",
    "HELLO that is not in shortest form": "01dc0008" + encode(SAMPLES["hello"])[2:].hex(),
}


def plain(value: Any) -> Any:
    """A value as JSON has it: bytes and large integers marked, named tuples and frames with their fields."""
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if type(value) is int and value > NUMBER_MAX:
        return {"integer": str(value)}
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def frames() -> Any:
    """One of each type, and the data that the signatures of two of them cover."""
    vectors = []
    for frame in SAMPLES.values():
        vector = {"frame": type(frame).__name__, "fields": plain(frame), "encoded": encode(frame).hex()}
        if isinstance(frame, (Welcome, Refused)):
            vector["signed_part"] = signed_part(frame).hex()
        vectors.append(vector)
    return {"frames": vectors, "malformed": [{"why": why, "encoded": raw} for why, raw in MALFORMED.items()]}


def events() -> Any:
    """Events of each kind that is written, with their digests."""
    crypto = IdentityCrypto(IDENTITY)
    vectors = []
    for name, (kind, body, after) in EVENTS.items():
        raw = encode_event(SALT, HLC + 1, kind, body, after)
        fields = {"salt": SALT, "hlc": HLC + 1, "kind": int(kind), "body": body, "after": after}
        vectors.append(
            {"name": name, "fields": plain(fields), "encoded": raw.hex(), "digest": crypto.event_digest(raw).hex()}
        )
    return {"events": vectors}


def batches() -> Any:
    """Two batches of one log, and the first with its second body deleted."""
    crypto = IdentityCrypto(IDENTITY)
    texts = [encode_event(SALT, HLC + number, Kind.TEXT, f"line {number}") for number in range(20)]
    vectors = []
    previous = NO_DIGEST
    for first, events_of in ((0, texts[:2]), (2, texts[2:])):
        batch = seal(
            room=ROOM,
            log=7,
            first=first,
            previous=previous,
            sealed_at=HLC + 100 + first,
            events=events_of,
            digests=crypto.event_digests(events_of),
            crypto=crypto,
        )
        previous = batch.digest
        fields = {name: getattr(batch, name) for name in ("room", "author", "log", "first", "count", "previous")}
        fields |= {"sealed_at": batch.sealed_at, "events": batch.events, "signature": batch.signature}
        vectors.append({"fields": plain(fields), "encoded": batch.raw.hex(), "digest": batch.digest.hex()})
    return {"secret_seed": IDENTITY.seed.hex(), "batches": vectors, "deleted": [deleted(texts[:2])]}


def deleted(events_of: list[bytes]) -> Any:
    """The first batch after the body of its second event was deleted: same header, digest and signature."""
    crypto = IdentityCrypto(IDENTITY)
    digests = crypto.event_digests(events_of)
    whole = seal(
        room=ROOM,
        log=7,
        first=0,
        previous=NO_DIGEST,
        sealed_at=HLC + 100,
        events=events_of,
        digests=digests,
        crypto=crypto,
    )
    left = [events_of[0], b"\x91\xc4\x20" + digests[1]]
    return {"encoded": pack_batch(peek_header(whole.raw), left, whole.signature).hex(), "digest": whole.digest.hex()}


def identities() -> Any:
    """Keys, ids as text, and signatures with their labels."""
    crypto = IdentityCrypto(IDENTITY)
    message = MessageId(IDENTITY.peer, 7, 2, b"12345678")
    keys = [
        {
            "seed": identity.seed.hex(),
            "peer": identity.peer.hex(),
            "peer_text": peer_text(identity.peer),
            "peer_short": peer_short(identity.peer),
            "curve_secret": identity.curve_secret.hex(),
            "curve_public": identity.curve_public.hex(),
        }
        for identity in (IDENTITY, OTHER)
    ]
    return {
        "door": {"secret": DOOR_SECRET.hex(), "public": DOOR_PUBLIC.hex()},
        "keys": keys,
        "no_peer_ids": [peer.hex() for peer in no_peer_ids()],
        "meshes": [{"name": name, "id": mesh_id(name).hex()} for name in ("zmqchat", "Büro", "BÜRO", "ﬁle")],
        "rooms": [
            {"mesh": MESH.hex(), "name": name, "id": room_id(MESH, name).hex()}
            for name in ("lobby", " Lobby ", "Straße", "STRASSE", "日本語")
        ],
        "messages": [{"fields": plain(message), "text": str(message)}],
        "signatures": [
            {"seed": IDENTITY.seed.hex(), "label": label.decode(), "data": data.hex(), "signature": signature.hex()}
            for label, data in (
                (WELCOME_LABEL, b"data"),
                (REFUSED_LABEL, b"data"),
                (BATCH_SIGNATURE_LABEL, bytes(32)),
            )
            for signature in (crypto.sign(label, data),)
        ],
    }


def no_peer_ids() -> list[PeerId]:
    """Top bit set, small order, not on the curve, not canonical."""
    flipped = IDENTITY.peer[:31] + bytes([IDENTITY.peer[31] | 0x80])
    off_curve = b"\x02" + bytes(31)
    raws = (flipped, bytes(32), b"\x01" + bytes(31), b"\xff" * 32, off_curve, b"\xee" + b"\xff" * 30 + b"\x7f")
    return [PeerId(raw) for raw in raws]


def frontiers() -> Any:
    """What a room holds after each further batch: gaps, joined ranges, two authors, a fork; and its hash."""
    ann, bob = IdentityCrypto(IDENTITY), IdentityCrypto(OTHER)
    one = sealed(ann, 0, None, "one")
    two = sealed(ann, 2, one, "two")
    three = sealed(ann, 4, two, "three")
    steps = {
        "nothing": None,
        "a first batch": one,
        "one that leaves a gap": three,
        "what was missing joins both": two,
        "another author": sealed(bob, 0, None, "four"),
        "a fork: another batch in the place of the second": sealed(ann, 2, one, "other"),
    }
    holder = Holder()
    vectors = []
    for step, batch in steps.items():
        if batch is not None:
            holder.offer(placed_as(batch))
        logs = [
            {
                **plain(key._asdict()),
                "floor": held.floor,
                "ranges": [{"start": r.start, "end": r.end, "head": plain(r.head)} for r in held.ranges],
            }
            for key, held in sorted(holder.frontier.items())
        ]
        added = None if batch is None else batch.raw.hex()
        vectors.append({"step": step, "added": added, "logs": logs, "hash": holder.frontier.hash.hex()})
    rooms = sorted((room_id(MESH, name), bytes([number]) * 16) for number, name in enumerate(("lobby", "garden")))
    joined = b"".join(room + held for room, held in rooms)
    summary = hashlib.blake2b(joined, digest_size=16, person=ROOMS_LABEL).hexdigest()
    return {"rooms": vectors, "summaries": [{"rooms": plain(rooms), "hash": summary}]}


def sealed(crypto: IdentityCrypto, first: int, after: Batch | None, text: str) -> Batch:
    """A batch of two texts."""
    events_of = [encode_event(SALT, HLC + first + number, Kind.TEXT, f"{text} {number}") for number in range(2)]
    return seal(
        room=ROOM,
        log=7,
        first=first,
        previous=NO_DIGEST if after is None else after.digest,
        sealed_at=HLC + first + 10,
        events=events_of,
        digests=crypto.event_digests(events_of),
        crypto=crypto,
    )


def placed_as(batch: Batch) -> FakeBatch:
    """What a frontier looks at of a batch."""
    return FakeBatch(
        batch.log, batch.first, batch.end, batch.previous, batch.digest, batch.sealed_at, author=batch.author
    )


FILES: Final = {
    "frames.json": frames,
    "events.json": events,
    "batches.json": batches,
    "identities.json": identities,
    "frontiers.json": frontiers,
}


def text_of(name: str) -> str:
    """What this file of vectors holds as of now."""
    return json.dumps(FILES[name](), indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write all files."""
    for name in FILES:
        (FOLDER / name).write_text(text_of(name), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
