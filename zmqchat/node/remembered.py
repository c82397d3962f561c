"""Peers remembered in the store: where they were reached, so that the next start needs no multicast."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from zmqchat.model.addresses import Endpoint
from zmqchat.model.ids import PeerId
from zmqchat.model.limits import ENDPOINTS_PER_PEER_MAX, PEERS_REMEMBERED_MAX
from zmqchat.protocol.addressbook import Target
from zmqchat.protocol.effects import PutRow
from zmqchat.protocol.facts import PeerSighted
from zmqchat.wire.packing import Malformed, pack, unpack

TABLE = "peers"


class RememberedPeers:
    """The rows of table `peers`: last seen (wall milliseconds) and endpoints, at most PEERS_REMEMBERED_MAX."""

    def __init__(self, rows: list[tuple[bytes, bytes]], write: Callable[[tuple[PutRow, ...]], None]) -> None:
        self._write = write
        self._known: dict[PeerId, tuple[int, list[Endpoint]]] = {}
        for key, value in rows:
            try:
                seen_ms, endpoints = unpack(value)
                self._known[PeerId(key)] = (seen_ms, [Endpoint(*endpoint) for endpoint in endpoints])
            except (Malformed, TypeError, ValueError):
                continue  # a damaged row costs one address

    def sightings(self) -> Iterator[PeerSighted]:
        """Every remembered address, the latest seen peers first."""
        for peer, (_seen_ms, endpoints) in sorted(self._known.items(), key=lambda item: -item[1][0]):
            for endpoint in endpoints:
                yield PeerSighted(endpoint=endpoint, peer=peer, source="store")

    def remember(self, peer: PeerId, target: Target | None, seen_ms: int) -> None:
        """This peer is in touch; where it was reached goes first."""
        if target is None or not target.endpoints:
            return
        endpoints = target.endpoints[:ENDPOINTS_PER_PEER_MAX]
        self._known[peer] = (seen_ms, list(endpoints))
        writes = [PutRow(TABLE, peer, pack([seen_ms, [list(endpoint) for endpoint in endpoints]]))]
        if len(self._known) > PEERS_REMEMBERED_MAX:
            oldest = min(self._known, key=lambda known: self._known[known][0])
            del self._known[oldest]
            writes.append(PutRow(TABLE, oldest, None))
        self._write(tuple(writes))
