"""What faces show, as plain JSON values: messages, gaps, peers, rooms and events of a node."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from zmqchat.model.ids import PeerId, peer_text
from zmqchat.node.mesh import MeshNode, MeshView
from zmqchat.node.message import Gap, Message
from zmqchat.node.room import Room
from zmqchat.node.values import (
    DuplicateIdentity,
    Member,
    MemberJoined,
    MemberLeft,
    NodeEvent,
    NoticeGiven,
    Peer,
    PeerOffline,
    Receipts,
)

Record = dict[str, Any]

HOLDERS_TOLD_MAX: Final = 16
"""Holders named beside a message that was sent: a stream into a large room would be mostly names."""


def message_record(message: Message) -> Record:
    """A message as `--json` prints it; an app's payload comes behind what all have."""
    author = message.author
    record: Record = {
        "id": str(message.id),
        "room": message.room.name,
        "author": peer_text(author.id),
        "name": author.name,
        "sent_at": rfc3339(message.sent_at),
        "kind": message.kind,
        "text": message.text,
    }
    if message.kind == "app":
        record["content_type"] = message.content_type
        record["value"] = jsonable(message.value)
    return record


def sent_record(message: Message, receipts: Receipts) -> Record:
    """A message of ours, and behind it who holds it now: members, then keepers, by id and name."""
    holders = [(peer, False) for peer in receipts.delivered] + [(peer, True) for peer in receipts.keepers]
    held = [
        {"id": peer_text(peer.id), "name": peer.name, "keeper": is_keeper}
        for peer, is_keeper in holders[:HOLDERS_TOLD_MAX]
    ]
    return message_record(message) | {"held": held}


def gap_record(gap: Gap) -> Record:
    """A missing part: whose, which numbers, who may have it."""
    return {
        "room": gap.room.name,
        "author": peer_text(gap.author.id),
        "name": gap.author.name,
        "first": gap.first,
        "end": gap.end,
        "holders": [holder.name for holder in gap.holders],
    }


def peer_record(peer: Peer) -> Record:
    """A peer as it is known now."""
    return {
        "id": peer_text(peer.id),
        "name": peer.name,
        "online": peer.online,
        "address": peer.address,
        "found_by": peer.found_by,
        "rtt_s": peer.rtt_s,
        "clock_difference_s": peer.clock_difference_s,
        "last_error": peer.last_error,
    }


def mesh_record(view: MeshView) -> Record:
    """The mesh without its nodes and links, which come one by one: a line has a bound."""
    return {"subnets": view.subnets, "is_partial": view.is_partial}


def mesh_node_record(node: MeshNode) -> Record:
    """A node of the mesh."""
    return {
        "id": node.id_text,
        "name": node.name,
        "is_self": node.is_self,
        "online": node.online,
        "linked": node.linked,
        "via": None if node.via is None else peer_text(node.via),
        "hops": node.hops,
        "address": node.address,
        "subnet": node.subnet,
        "found_by": node.found_by,
        "rtt_s": node.rtt_s,
        "slow": node.slow,
        "lacks": node.lacks,
        "keeps": node.keeps,
        "gapped": node.gapped,
    }


def way_record(node: MeshNode | None) -> Record:
    """How a peer is reached and what it lacks, as `peers` adds it to what is known of the peer itself."""
    known = node if node is not None else MeshNode(PeerId(bytes(32)), "", online=False)
    record = mesh_node_record(known)
    return {name: record[name] for name in ("linked", "via", "hops", "slow", "lacks", "keeps", "gapped")}


def member_record(member: Member) -> Record:
    """Who is in a room."""
    return {"id": peer_text(member.id), "name": member.name, "online": member.online}


async def room_record(room: Room) -> Record:
    """A room that this node is in."""
    members = room.members
    return {
        "room": room.name,
        "members": len(members),
        "online": sum(member.online for member in members),
        "unread": await room.count_unread(),
    }


def event_record(event: NodeEvent) -> Record:
    """Something that happened: its name, and what it is about."""
    record: Record = {"event": type(event).__name__}
    if isinstance(event, NoticeGiven):
        record["text"] = event.text
        return record
    person = event.member if isinstance(event, MemberJoined | MemberLeft) else event.peer
    record |= {"id": peer_text(person.id), "name": person.name}
    if isinstance(event, MemberJoined | MemberLeft):
        record["room"] = event.room
    elif isinstance(event, DuplicateIdentity):
        record["ours"] = event.ours
    elif not isinstance(event, PeerOffline):
        record["address"] = event.peer.address
    return record


def rfc3339(moment: datetime) -> str:
    """The moment with its offset, to the millisecond."""
    return moment.isoformat(timespec="milliseconds")


def jsonable(value: object) -> object:
    """A value from MessagePack or a report for JSON: bytes in base64, moments as text, keys as text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        # JSON knows neither infinity nor NaN.
        return value if value - value == 0 else str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item) for item in value]
    return str(value)
