"""A sensor: says its reading in the room `readings`, one a second, as structured data and not as text.

    python sensor.py [SECONDS]      between two readings, 1 by default

Each reading is on this machine's disk before the next is taken, so a network that comes and goes loses none.
"""

import asyncio
import sys
import time

from zmqchat import Node

CONTENT_TYPE = "application/x-reading"


async def main(interval_s: float) -> None:
    """Send readings until stopped."""
    async with Node("sensor") as node:
        room = await node.join("readings")
        number = 0
        while True:
            number += 1
            await room.send_app(CONTENT_TYPE, {"number": number, "uptime_s": time.monotonic()})
            print(f"reading {number}", flush=True)
            await asyncio.sleep(interval_s)


if __name__ == "__main__":
    try:
        asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0))
    except KeyboardInterrupt:
        print("stopped")
