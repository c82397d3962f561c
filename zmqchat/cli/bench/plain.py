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


async def floor_receive(folder: str, count: int) -> None:
    """Make each frame durable, then take its time."""
    hop, commits = PlainHop(None), PlainCommits(Path(folder))
    taken: list[int] = []
    done = asyncio.Event()

    def handle(payload: bytes) -> None:
        commits.commit(payload)
        taken.append(time.monotonic_ns() - int(payload[:20]))
        if len(taken) >= count:
            done.set()

    _print({"port": hop.port})
    receiving = asyncio.get_running_loop().create_task(hop.receive(handle), name="floor")
    await done.wait()
    receiving.cancel()
    await receiving
    hop.close()
    commits.close()
    _print({"ns": taken})


async def floor_send(port: int, folder: str, payload_bytes: int, count: int, interval_s: float) -> None:
    """Make each frame durable, then send it."""
    hop, commits = PlainHop(port), PlainCommits(Path(folder))
    for _ in range(count):
        payload = f"{time.monotonic_ns():020d}".ljust(payload_bytes, "x").encode()
        commits.commit(payload)
        await hop.send(payload)
        await asyncio.sleep(interval_s)
    await asyncio.sleep(0.5)
    hop.close()
    commits.close()
    _print({})


def _print(answer: dict[str, object]) -> None:
    print(json.dumps(answer), flush=True)


def main(arguments: list[str]) -> None:
    """Play the role that the arguments name."""
    role, *rest = arguments
    if role == "receive":
        receive()
    elif role == "send":
        send(int(rest[0]), int(rest[1]), float(rest[2]))
    elif role == "floor-receive":
        asyncio.run(floor_receive(rest[0], int(rest[1])))
    elif role == "floor-send":
        asyncio.run(floor_send(int(rest[0]), rest[1], int(rest[2]), int(rest[3]), float(rest[4])))


if __name__ == "__main__":
    main(sys.argv[1:])
