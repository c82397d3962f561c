"""A collector: prints every reading of every sensor once, as a line of JSON, however often it is restarted.

    python collector.py [FILE]      where the cursor is kept, `collector.cursor` by default

The cursor is saved after its reading was printed: a crash between the two repeats one line and skips none.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from zmqchat import Gap, Node

CONTENT_TYPE = "application/x-reading"


async def main(cursor_file: Path) -> None:
    """Print readings from where the last run stopped, then as they come."""
    after = load(cursor_file) or "start"
    async with Node("collector") as node:
        room = await node.join("readings")
        async for message in room.messages(after=after):
            if isinstance(message, Gap):
                print(f"{message.end - message.first} messages are missing for now", file=sys.stderr, flush=True)
            elif message.content_type == CONTENT_TYPE:
                print(json.dumps({"sensor": message.author.name, "reading": message.value}), flush=True)
            if message.cursor:
                save(cursor_file, message.cursor)


def load(path: Path) -> str:
    """The cursor that was saved last, empty at the first run."""
    return path.read_text(encoding="utf-8") if path.exists() else ""


def save(path: Path, text: str) -> None:
    """Replace the file in one step, so that a crash leaves the old text or the new one."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text, encoding="utf-8")
    os.replace(fresh, path)


if __name__ == "__main__":
    try:
        asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else "collector.cursor")))
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
