"""The cases of speed: streaming, chatting, latency, catching up; each beside plain pyzmq in the same run."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from zmqchat.cli.bench.measure import Measured, at_least, at_most, percentile
from zmqchat.cli.bench.processes import plain, worker

PAYLOAD_BYTES = 200
ANSWERS_PER_S = 150
"""Texts a second of each side that a conversation is planned for."""

CATCH_UP_TEXTS = 200_000
SECOND_NS = 1e9
MICROSECOND_NS = 1e3

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure: runs, and seconds a run."""

    runs: int
    duration_s: float


def plain_rate(duration_s: float) -> float:
    """Messages a second of plain pyzmq."""
    with plain("receive") as receiver:
        port = receiver.answer()["port"]
        with plain("send", port, PAYLOAD_BYTES, duration_s) as sender:
            started_s = sender.answer()["started_s"]
            answer = receiver.answer()
    rate: float = answer["count"] / (answer["ended_s"] - started_s)
    return rate


def _rate(order: str, duration_s: float) -> float:
    """Messages a second from the first send to the last being readable at the other node, durable at both."""
    with (
        tempfile.TemporaryDirectory(prefix="zmqchat-bench-") as folder,
        worker(f"{folder}/a") as (sender, opened),
        worker(f"{folder}/b", opened["address"]) as (receiver, _),
    ):
        sender.ask("peers", count=1)
        receiver.ask("peers", count=1)
        receiver.ask("count")
        sent = sender.ask(order, duration_s=duration_s, payload_bytes=PAYLOAD_BYTES)
        read = receiver.ask("counted", count=sent["count"])
    rate: float = sent["count"] / (read["at_s"] - sent["started_s"])
    return rate


def _stream(case: str, target: float, effort: Effort, progress: Progress) -> list[Measured]:
    values, plains = [], []
    for number in range(effort.runs):
        progress(f"{case}: run {number + 1} of {effort.runs}")
        values.append(_rate(case, effort.duration_s))
        plains.append(plain_rate(effort.duration_s))
    return [at_least(case, values, plains, "messages/s", target, PAYLOAD_BYTES)]


def stream(effort: Effort, progress: Progress) -> list[Measured]:
    """One sender, one receiver, texts through send_all."""
    return _stream("stream", 0.5, effort, progress)


def stream_chat(effort: Effort, progress: Progress) -> list[Measured]:
    """The same, each text a send() of its own from 100 tasks."""
    return _stream("stream-chat", 0.15, effort, progress)


def latency(effort: Effort, progress: Progress) -> list[Measured]:
    """send() to given to the application at the other node, one text at a time, each answering the one before.

    The floor is the same conversation over plain pyzmq: a commit with fsync, an asyncio hop, a commit with fsync.
    """
    count = max(100, int(effort.duration_s * ANSWERS_PER_S))
    medians, tails, floors = [], [], []
    for number in range(effort.runs):
        progress(f"latency: run {number + 1} of {effort.runs}")
        taken = _latencies(count)
        medians.append(percentile(taken, 0.5) / MICROSECOND_NS)
        tails.append(percentile(taken, 0.99) / MICROSECOND_NS)
        floors.append(percentile(_floor(count), 0.5) / MICROSECOND_NS)
    return [
        at_most("latency-p50", medians, "us", 2.5, payload_bytes=PAYLOAD_BYTES, plains=floors),
        at_most("latency-p99", tails, "us", 10, payload_bytes=PAYLOAD_BYTES, plains=floors),
    ]


def _latencies(count: int) -> list[float]:
    with (
        tempfile.TemporaryDirectory(prefix="zmqchat-bench-") as folder,
        worker(f"{folder}/a") as (one, opened),
        worker(f"{folder}/b", opened["address"]) as (other, _),
    ):
        one.ask("peers", count=1)
        other.ask("peers", count=1)
        other.tell("converse", count=count, payload_bytes=PAYLOAD_BYTES, begins=False)
        taken: list[float] = one.ask("converse", count=count, payload_bytes=PAYLOAD_BYTES, begins=True)["ns"]
        taken += other.answer()["ns"]
    return taken


def _floor(count: int) -> list[float]:
    with (
        tempfile.TemporaryDirectory(prefix="zmqchat-bench-") as folder,
        plain("floor", Path(folder) / "a", PAYLOAD_BYTES, count) as one,
    ):
        port = one.answer()["port"]
        with plain("floor", Path(folder) / "b", PAYLOAD_BYTES, count, port) as other:
            taken: list[float] = other.answer()["ns"]
            taken += one.answer()["ns"]
    return taken


def catch_up(effort: Effort, progress: Progress) -> list[Measured]:
    """200,000 stored texts to a newcomer, from its admission to the last being readable there."""
    values, plains = [], []
    with tempfile.TemporaryDirectory(prefix="zmqchat-bench-") as folder, worker(f"{folder}/a") as (holder, opened):
        progress(f"catch-up: storing {CATCH_UP_TEXTS:,} texts")
        holder.ask("stream", duration_s=0, payload_bytes=PAYLOAD_BYTES, count=CATCH_UP_TEXTS)
        for number in range(effort.runs):
            progress(f"catch-up: run {number + 1} of {effort.runs}")
            with worker(f"{folder}/b{number}", opened["address"]) as (newcomer, _):
                # Who is a member is learned from what is being fetched: the clock starts before that.
                admitted_s = newcomer.ask("peers", count=1, members=False)["at_s"]
                read = newcomer.ask("counted", count=CATCH_UP_TEXTS, after="start")
            values.append(CATCH_UP_TEXTS / max(1e-6, read["at_s"] - admitted_s))
            plains.append(plain_rate(min(effort.duration_s, 3.0)))
    return [at_least("catch-up", values, plains, "messages/s", 0.45, PAYLOAD_BYTES)]
