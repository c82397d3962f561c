"""The cases of cost: start, memory, bytes on the wire, recovery, idling."""

from __future__ import annotations

import compileall
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import zmqchat
from zmqchat.cli.bench.measure import Measured, at_most
from zmqchat.cli.bench.processes import worker
from zmqchat.cli.bench.proxy import CountingProxy
from zmqchat.cli.bench.speed import PAYLOAD_BYTES, Effort, Progress
from zmqchat.cli.processes import Process

BARE_IMPORT = "import asyncio, zmq, msgpack, lmdb, zeroconf, zeroconf.asyncio, nacl.bindings, nacl.signing, ifaddr"
MEMORY_TEXTS = 1_000_000
MEMORY_IDLE_S = 60.0
MEMORY_MIB_MAX = 120
RECOVERY_TEXTS = 200_000
IDLE_PEERS = 5
IDLE_S = 30.0
SETTLE_S = 3.0
WIRE_TEXTS = 50_000
WIRE_ALONE_TEXTS = 20
WIRE_ALONE_S = 0.5
"""Between two texts that are sent alone: long enough for all that follows from one."""
MIB = 2**20


def start(effort: Effort, progress: Progress) -> list[Measured]:
    """Process start to the first peer admitted, against the bare import of the same dependencies."""
    values, plains = [], []
    # What is installed is compiled; a checkout is not where Python may keep no bytecode.
    compileall.compile_dir(Path(zmqchat.__file__).parent, quiet=2)
    with tempfile.TemporaryDirectory(prefix="zmqchat-bench-") as folder, worker(f"{folder}/a") as (_, opened):
        for number in range(max(3, effort.runs)):
            progress(f"start: run {number + 1}")
            started_s = time.monotonic()
            with worker(f"{folder}/b{number}", opened["address"]) as (newcomer, _):
                values.append(newcomer.ask("peers", count=1, members=False)["at_s"] - started_s)
            started_s = time.monotonic()
            subprocess.run([sys.executable, "-c", BARE_IMPORT], check=True)
            plains.append(time.monotonic() - started_s)
    return [at_most("start", values, "s", 3, plains=plains)]


def memory(effort: Effort, progress: Progress) -> list[Measured]:
    """Resident memory of a node started on a store of 1,000,000 texts, after idling and one page of history."""
    values = []
    with tempfile.TemporaryDirectory(prefix="zmqchat-bench-") as folder:
        progress(f"memory: storing {MEMORY_TEXTS:,} texts")
        with worker(f"{folder}/a") as (writer, _):
            writer.ask("stream", duration_s=0, payload_bytes=PAYLOAD_BYTES, count=MEMORY_TEXTS)
        for number in range(effort.runs):
            progress(f"memory: idling, run {number + 1} of {effort.runs}")
            with worker(f"{folder}/a") as (node, _):
                time.sleep(MEMORY_IDLE_S)
                node.ask("history", last=50)
                resident_bytes = node.ask("rss")["bytes"]
                if resident_bytes is not None:
                    values.append(resident_bytes / MIB)
    return [at_most("memory", values, "MiB", MEMORY_MIB_MAX)] if values else []


def wire(effort: Effort, progress: Progress) -> list[Measured]:
    """TCP payload between two nodes a message, both directions, acknowledgements included."""
    streamed, single = [], []
    for number in range(effort.runs):
        progress(f"wire: run {number + 1} of {effort.runs}")
        each, alone = _wire_once()
        streamed.append(each)
        single.append(alone)
    return [
        at_most("wire-stream", streamed, "B", 300, payload_bytes=PAYLOAD_BYTES),
        at_most("wire-single", single, "B", 900, payload_bytes=PAYLOAD_BYTES),
    ]


def _wire_once() -> tuple[float, float]:
    """Bytes a streamed text, and bytes of one text alone."""
    with (
        tempfile.TemporaryDirectory(prefix="zmqchat-bench-") as folder,
        worker(f"{folder}/a") as (sender, opened),
        CountingProxy(opened["ports"]) as proxy,
        worker(f"{folder}/b", proxy.address) as (receiver, _),
    ):

        def say_some() -> None:
            for _ in range(WIRE_ALONE_TEXTS):
                sender.ask("send", payload_bytes=PAYLOAD_BYTES)
                time.sleep(WIRE_ALONE_S)

        def stream() -> None:
            sender.ask("stream", duration_s=0, payload_bytes=PAYLOAD_BYTES, count=WIRE_TEXTS)
            receiver.ask("counted", count=WIRE_TEXTS)

        sender.ask("peers", count=1)
        receiver.ask("peers", count=1)
        say_some()
        said_bytes = _during(proxy, say_some)
        silent_bytes = _during(proxy, lambda: time.sleep(WIRE_ALONE_TEXTS * WIRE_ALONE_S))
        alone_bytes = max(0, said_bytes - silent_bytes) / WIRE_ALONE_TEXTS
        receiver.ask("count")
        return _during(proxy, stream) / WIRE_TEXTS, alone_bytes


def _during(proxy: CountingProxy, action: Callable[[], object]) -> int:
    """The bytes that pass while the action runs."""
    before = proxy.bytes
    action()
    return proxy.bytes - before


def recovery(effort: Effort, progress: Progress) -> list[Measured]:
    """SIGKILL of a node with 200,000 texts in mid-stream, to being back with both peers admitted."""
    values = []
    with tempfile.TemporaryDirectory(prefix="zmqchat-bench-") as folder, worker(f"{folder}/a") as (victim, opened):
        address, home = opened["address"], f"{folder}/a"
        progress(f"recovery: storing {RECOVERY_TEXTS:,} texts")
        victim.ask("stream", duration_s=0, payload_bytes=PAYLOAD_BYTES, count=RECOVERY_TEXTS)
        with worker(f"{folder}/b", address) as (one, _), worker(f"{folder}/c", address) as (other, _):
            one.ask("peers", count=2)
            other.ask("peers", count=2)
            victim.ask("peers", count=2)
            for number in range(effort.runs):
                progress(f"recovery: run {number + 1} of {effort.runs}")
                values.append(_recover(victim if number == 0 else None, home, address))
    return [at_most("recovery", values, "s", 2.0)]


def _recover(process: Process | None, home: str, address: str) -> float:
    """Kill the node (started again where it is None) in mid-stream; seconds until both peers are back."""
    if process is None:
        process = Process("zmqchat.cli.bench.worker")
        process.ask("open", home=home, peers=[], listen=address)
        process.ask("peers", count=2)
    process.tell("stream", duration_s=30, payload_bytes=PAYLOAD_BYTES)
    time.sleep(0.5)
    process.kill()
    started_s = time.monotonic()
    with worker(home, listen=address) as (again, _):
        back_s: float = again.ask("peers", count=2)["at_s"] - started_s
    return back_s


def idle(effort: Effort, progress: Progress) -> list[Measured]:
    """Processor time of a node with 5 peers when nothing is said, in percent of a core."""
    values = []
    with (
        tempfile.TemporaryDirectory(prefix="zmqchat-bench-") as folder,
        worker(f"{folder}/a") as (node, opened),
        contextlib.ExitStack() as others,
    ):
        for number in range(IDLE_PEERS):
            others.enter_context(worker(f"{folder}/{number}", opened["address"]))
        node.ask("peers", count=IDLE_PEERS)
        time.sleep(SETTLE_S)
        for number in range(effort.runs):
            progress(f"idle: run {number + 1} of {effort.runs}")
            before = node.ask("cpu")
            time.sleep(IDLE_S)
            after = node.ask("cpu")
            values.append(100 * (after["cpu_s"] - before["cpu_s"]) / (after["at_s"] - before["at_s"]))
    return [at_most("idle", values, "% of a core", 1.0)]
