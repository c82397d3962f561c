"""Prints a room as lines of JSON, its history first and then what is said, for another program to read.

python tail_json.py [ROOM]      `lobby` by default
"""

import asyncio
import json
import sys

from zmqchat import Message, Node


async def main(room_name: str) -> None:
    """Print until stopped."""
    async with Node("tail") as node:
        room = await node.join(room_name)
        async for message in room.messages(after="start"):
            if isinstance(message, Message):
                print(json.dumps(record(message)), flush=True)


def record(message: Message) -> dict[str, object]:
    """What `zmqchat tail --json` prints of a message, too."""
    return {
        "id": str(message.id),
        "room": message.room.name,
        "author": message.author.id_text,
        "name": message.author.name,
        "sent_at": message.sent_at.isoformat(),
        "kind": message.kind,
        "text": message.text,
    }


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "lobby"))
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
