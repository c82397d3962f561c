"""Replays tests/vectors/frontiers.json: what a room holds after each batch, and hashes made as the document says."""

from __future__ import annotations

import hashlib
import json
import struct
from typing import Any

from tests.support.histories import Holder
from tests.vectors.generate import FOLDER, placed_as
from zmqchat.crypto.keys import Identity
from zmqchat.crypto.signing import IdentityCrypto
from zmqchat.history.batch import Batch, open_batch

VECTORS: dict[str, list[dict[str, Any]]] = json.loads((FOLDER / "frontiers.json").read_text(encoding="utf-8"))
CRYPTO = IdentityCrypto(Identity(bytes(32)))


def shape(logs: list[dict[str, Any]]) -> dict[tuple[bytes, int, bytes], list[tuple[int, int, bytes]]]:
    """By author, log and branch: where its ranges start and end, and their heads."""
    return {
        (bytes.fromhex(log["author"]["bytes"]), log["log"], bytes.fromhex(log["branch"]["bytes"])): [
            (held["start"], held["end"], bytes.fromhex(held["head"]["bytes"])) for held in log["ranges"]
        ]
        for log in logs
    }


def hashed(label: bytes, data: bytes) -> bytes:
    """BLAKE2b-128 under a label."""
    return hashlib.blake2b(data, digest_size=16, person=label).digest()


def test_frontiers_and_their_hashes_are_as_written() -> None:
    """Batch by batch, each verified first, the room holds what the vectors say."""
    holder = Holder()
    for vector in VECTORS["rooms"]:
        if vector["added"] is not None:
            batch = open_batch(bytes.fromhex(vector["added"]), CRYPTO)
            assert isinstance(batch, Batch)
            holder.offer(placed_as(batch))
        assert holder.shape() == shape(vector["logs"]), vector["step"]
        assert holder.frontier.hash.hex() == vector["hash"], vector["step"]


def test_hashes_follow_from_the_document_alone() -> None:
    """The rule of docs/internals/protocol.md, written out a second time, gives the same hashes."""
    for vector in VECTORS["rooms"]:
        by_author: dict[bytes, bytes] = {}
        for (author, log, branch), ranges in sorted(shape(vector["logs"]).items()):
            for start, end, head in ranges:
                packed = struct.pack(">Q8sQQ32s", log, branch, start, end, head)
                by_author[author] = by_author.get(author, author) + packed
        authors = b"".join(hashed(b"zmqchat-author-1", by_author[author]) for author in sorted(by_author))
        assert hashed(b"zmqchat-front-1", authors).hex() == vector["hash"], vector["step"]
    for summary in VECTORS["summaries"]:
        joined = b"".join(bytes.fromhex(part["bytes"]) for pair in summary["rooms"] for part in pair)
        assert hashed(b"zmqchat-rooms-1", joined).hex() == summary["hash"]
