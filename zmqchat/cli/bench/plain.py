"""The yardstick's process: `python -m zmqchat.cli.bench.plain ROLE …`; answers one JSON line at the end."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from zmqchat.net.yardstick import PlainHop, PlainReceiver, send_plain
from zmqchat.store.yardstick import PlainCommits


def receive() -> None:
    """Print the port, receive until the last message, print count and end."""
    receiver = PlainReceiver()
    _print({"port": receiver.port})
    count, ended_s = receiver.receive()
    _print({"count": count, "ended_s": ended_s})
    receiver.close()


def send(port: int, payload_bytes: int, duration_s: float) -> None:
    """Send for so long, print count and start."""
    count, started_s = send_plain(port, payload_bytes, duration_s)
    _print({"count": count, "started_s": started_s})


async def floor(folder: str, payload_bytes: int, count: int, port: int | None) -> None:
    """A conversation with a commit before each send and after each receipt; the side with a port begins it."""
    hop, commits = PlainHop(port), PlainCommits(Path(folder))
    taken: list[int] = []

    async def say() -> None:
        payload = f"{time.monotonic_ns():020d}".ljust(payload_bytes, "x").encode()
        commits.commit(payload)
        await hop.send(payload)

    if port is None:
        _print({"port": hop.port})
    else:
        await say()
    for number in range(count):
        payload = await hop.receive()
        commits.commit(payload)
        taken.append(time.monotonic_ns() - int(payload[:20]))
        if port is None or number + 1 < count:
            await say()
    _print({"ns": taken})
    hop.close()
    commits.close()


def _print(answer: dict[str, object]) -> None:
    print(json.dumps(answer), flush=True)


def main(arguments: list[str]) -> None:
    """Play the role that the arguments name."""
    role, *rest = arguments
    if role == "receive":
        receive()
    elif role == "send":
        send(int(rest[0]), int(rest[1]), float(rest[2]))
    elif role == "floor":
        asyncio.run(floor(rest[0], int(rest[1]), int(rest[2]), int(rest[3]) if len(rest) > 3 else None))


if __name__ == "__main__":
    main(sys.argv[1:])
