"""The command `zmqchat bench`."""

from __future__ import annotations

import json
from collections.abc import Callable

import click
from rich.console import Console
from rich.table import Table

from zmqchat.cli.bench import cost, speed
from zmqchat.cli.bench.measure import Measured
from zmqchat.cli.bench.speed import Effort, Progress

Case = Callable[[Effort, Progress], list[Measured]]

CASES: dict[str, Case] = {
    "stream": speed.stream,
    "stream-chat": speed.stream_chat,
    "latency": speed.latency,
    "catch-up": speed.catch_up,
    "start": cost.start,
    "memory": cost.memory,
    "wire": cost.wire,
    "recovery": cost.recovery,
    "idle": cost.idle,
}
SHORT = ("stream", "stream-chat", "latency", "catch-up", "start")
SHORT_EFFORT = Effort(runs=3, duration_s=3.0)
FULL_EFFORT = Effort(runs=5, duration_s=10.0)


@click.command("bench")
@click.argument("cases", nargs=-1, type=click.Choice(list(CASES)))
@click.option("--full", is_flag=True, help="All cases, medians of 5 runs of 10 s; takes some 20 minutes.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def run(cases: tuple[str, ...], full: bool, as_json: bool) -> None:
    """Measure speed on this machine against plain pyzmq in the same run.

    Without CASES: the short ones, in under two minutes. Nothing leaves the loopback interface.
    """
    effort = FULL_EFFORT if full else SHORT_EFFORT
    names = cases or (tuple(CASES) if full else SHORT)
    errors = Console(stderr=True, highlight=False)
    results: list[Measured] = []
    for name in names:
        for measured in CASES[name](effort, lambda text: errors.print(text, markup=False)):
            results.append(measured)
            if as_json:
                click.echo(json.dumps(measured.record()))
    if not as_json:
        _show(results)


def _show(results: list[Measured]) -> None:
    table = Table("case", "measured", "plain", "ratio", "target", "met")
    for row in results:
        table.add_row(
            row.case,
            f"{row.value:,.4g} {row.unit}" if row.value < 1000 else f"{row.value:,.0f} {row.unit}",
            "" if row.plain is None else f"{row.plain:,.4g}" if row.plain < 1000 else f"{row.plain:,.0f}",
            "" if row.ratio is None else f"{row.ratio:.2f}",
            row.target,
            "met" if row.met else "missed",
        )
    Console(highlight=False, emoji=False).print(table)
