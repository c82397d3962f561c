"""A bot in ten lines: whoever says `!time` in the lobby is told the time."""

import asyncio
from datetime import datetime, timezone

from zmqchat import Node


async def main() -> None:
    """Answer until stopped; what was said while the bot was away is not `live`, so it is left alone."""
    async with Node("bot") as node:
        lobby = await node.join("lobby")
        async for message in lobby.messages(after="read"):
            if message.live and message.text == "!time":
                await lobby.send(f"it is {datetime.now(timezone.utc):%H:%M} UTC")


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        print("bye")
