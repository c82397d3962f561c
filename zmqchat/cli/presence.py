"""Who comes and goes, told as lines, for chat and node alike."""

from __future__ import annotations

import time
from collections.abc import Iterator

from zmqchat.cli import output
from zmqchat.cli.client import ControlClient, Fields
from zmqchat.cli.session import Session
from zmqchat.model.text import clean

NAME_S = 1.5
"""A peer's name comes with what it has said, shortly after the peer itself."""

_STEP_S = 0.1
_VERBS = {"PeerOnline": "is here", "PeerOffline": "is gone", "MemberJoined": "joined", "MemberLeft": "left"}


def happenings(session: Session) -> Iterator[Fields]:
    """Who is here already and what the user was not told yet, then the events of the session's node as they come.

    Who comes has a name if there is one.
    """
    asking = session.connect()
    here: set[str] = set()
    for item in session.connect().items("events"):
        event = item.get("event")
        if isinstance(event, dict):
            peer, what = str(event.get("id")), event.get("event")
            if what == "PeerOnline" and peer in here:
                continue
            if what == "PeerOffline":
                here.discard(peer)
            if what != "NoticeGiven" or session.is_news(str(event.get("text"))):
                yield _named(asking, event)
        elif item.get("ready"):
            # whoever came before we listened, and may be told once more by the first events
            for peer_record in [found["peer"] for found in asking.items("peers")]:
                here.add(str(peer_record["id"]))
                yield _named(asking, {**peer_record, "event": "PeerOnline"})
            for text in session.new_notices():
                yield {"event": "NoticeGiven", "text": text}


def _named(client: ControlClient, event: Fields) -> Fields:
    """The event with the peer's name, for which a newcomer is given a moment."""
    deadline_s = time.monotonic() + NAME_S
    while event.get("event") == "PeerOnline" and not _has_name(event) and time.monotonic() < deadline_s:
        time.sleep(_STEP_S)
        names = {item["peer"]["id"]: item["peer"]["name"] for item in client.items("peers", all=True)}
        event["name"] = names.get(event.get("id"), event.get("name"))
    return event


def presence_line(event: Fields) -> str | None:
    """Who came or went, as a line; None for what is neither."""
    verb = _VERBS.get(str(event.get("event")))
    if verb is None:
        return None
    room = f" {clean(str(event['room']))}" if event.get("room") else ""
    return f"{output.shown_name({'name': event.get('name'), 'author': event.get('id')})} {verb}{room}"


def _has_name(event: Fields) -> bool:
    return event.get("name") != output.short_id(str(event.get("id")))
