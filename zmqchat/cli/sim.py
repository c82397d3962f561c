"""The command `zmqchat sim`: one simulated run, or a swarm of them; what repeats it stands on the first line."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from pathlib import Path

import click

from zmqchat.cli import output
from zmqchat.sim.draw import draw
from zmqchat.sim.faults import FAULTS
from zmqchat.sim.options import Options, Outcome
from zmqchat.sim.picture import Way, network_picture
from zmqchat.sim.running import Snapshot, run_checked
from zmqchat.sim.scenarios import SCENARIOS
from zmqchat.sim.shrink import shrink
from zmqchat.sim.swarm import cores, swarm
from zmqchat.sim.trace import Trace, TraceFilter

SEED_BITS = 32
SHRINK_S_MAX = 60.0
"""How long a run that failed in a swarm is made smaller; the smallest found by then is told."""

NOTE_INTERVAL_S = 15.0
"""How often a long swarm says how far it is."""


@click.command("sim")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="What all chance comes from.  [default: drawn]")
@click.option("--scenario", type=click.Choice(sorted(SCENARIOS)), help="What is played.  [default: drawn]")
@click.option("--nodes", type=click.IntRange(2, 10_000), help="How many nodes.  [default: drawn]")
@click.option(
    "--duration", "duration_s", metavar="S", type=click.FloatRange(1.0, 86_400.0), help="Simulated seconds of trouble."
)
@click.option("--fault", "faults", multiple=True, type=click.Choice(sorted(FAULTS)), help="Some trouble; repeatable.")
@click.option("--no-faults", is_flag=True, help="No trouble at all.")
@click.option(
    "--swarm", "count", type=click.IntRange(1), metavar="N", help="Run N seeds on all cores, to the first failure."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a run.")
@click.option("--trace", "is_traced", is_flag=True, help="Print what happens, one line an event.")
@click.option("--node", type=click.IntRange(0), help="Trace only this node.")
@click.option("--room", metavar="NAME", help="Trace only what names this room.")
@click.option("--message", metavar="TEXT", help="Trace or draw only the message with this text or id.")
@click.option(
    "--svg",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw the network, or the way of --message.",
)
@click.option(
    "--at", "at_s", metavar="S", type=click.FloatRange(0.0), help="Draw the network at this second, not at the end."
)
def run(
    seed: int | None,
    scenario: str | None,
    nodes: int | None,
    duration_s: float | None,
    faults: tuple[str, ...],
    no_faults: bool,
    count: int | None,
    as_json: bool,
    is_traced: bool,
    node: int | None,
    room: str | None,
    message: str | None,
    svg: Path | None,
    at_s: float | None,
) -> int:
    """Play a mesh in simulated time, with trouble, and check that nothing is lost.

    The same seed and options give the same run, to the digest. The first line repeats it.
    """
    if faults and no_faults:
        raise click.UsageError("--fault and --no-faults exclude each other")
    if count is not None and (is_traced or svg is not None):
        raise click.UsageError("--trace and --svg are for a single run")
    if as_json and is_traced:
        raise click.UsageError("--json and --trace both write to standard output: choose one")
    first = random.SystemRandom().getrandbits(SEED_BITS) if seed is None else seed
    wanted = () if no_faults else faults or None

    def options_of(number: int) -> Options:
        return draw(number, scenario=scenario, nodes=nodes, duration_s=duration_s, faults=wanted)

    if count is not None:
        line = _repeating(count, first, scenario, nodes, duration_s, wanted)
        return _swarm([options_of(first + index) for index in range(count)], line, as_json=as_json)
    only = TraceFilter(node=node, room=room, message=message) if is_traced else None
    return _single(options_of(first), as_json=as_json, only=only, svg=svg, message=message, at_s=at_s)


def _single(
    options: Options,
    *,
    as_json: bool,
    only: TraceFilter | None,
    svg: Path | None,
    message: str | None,
    at_s: float | None,
) -> int:
    (output.note if as_json else output.print_line)(options.command())
    trace = None if only is None else Trace(output.print_line, only)
    way = Way(message) if svg is not None and message is not None else None
    sinks = [sink for sink in (trace, way) if sink is not None]
    snapshot = Snapshot(network_picture, at_s) if svg is not None and way is None else None
    started_s = time.monotonic()
    outcome = run_checked(options, sinks, snapshot)
    took_s = time.monotonic() - started_s
    if svg is not None:
        svg.write_text(way.picture() if way is not None else snapshot.taken if snapshot is not None else "", "utf-8")
    output.note(f"{took_s:.2f} s, {outcome.facts / max(took_s, 1e-9):,.0f} facts a second")
    for text in outcome.notes:
        output.note(text)
    _tell(outcome, as_json=as_json)
    return output.FAILED if outcome.failed else output.DONE


def _tell(outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        output.print_json(_record(outcome))
        return
    output.print_line(f"digest {outcome.digest}, {outcome.facts:,} facts")
    for text in outcome.failed:
        output.print_line(f"failed: {text}")
    if not outcome.failed:
        output.print_line("passed")


def _record(outcome: Outcome) -> output.Record:
    return {
        "seed": outcome.seed,
        "options": asdict(outcome.options),
        "digest": outcome.digest,
        "facts": outcome.facts,
        "failed": list(outcome.failed),
    }


def _repeating(
    count: int,
    first: int,
    scenario: str | None,
    nodes: int | None,
    duration_s: float | None,
    faults: tuple[str, ...] | None,
) -> str:
    """The command line that repeats a swarm."""
    words = ["zmqchat", "sim", "--swarm", str(count), "--seed", str(first)]
    given = (("--scenario", scenario), ("--nodes", nodes), ("--duration", duration_s))
    words += [
        word
        for name, value in given
        if value is not None
        for word in (name, f"{value:g}" if isinstance(value, float) else str(value))
    ]
    words += ["--no-faults"] if faults == () else [word for fault in faults or () for word in ("--fault", fault)]
    return " ".join(words)


def _swarm(runs: list[Options], line: str, *, as_json: bool) -> int:
    """Exit code 0 only where all passed; the last line counts."""
    say = output.note if as_json else output.print_line
    say(line)
    started_s = time.monotonic()
    facts, done, noted_s = 0, 0, started_s

    def told(outcome: Outcome) -> None:
        nonlocal facts, done, noted_s
        facts += outcome.facts
        done += 1
        if time.monotonic() - noted_s > NOTE_INTERVAL_S:
            noted_s = time.monotonic()
            output.note(f"{done} of {len(runs)} after {noted_s - started_s:.0f} s")
        if as_json:
            output.print_json(_record(outcome))

    try:
        tally = swarm(runs, run_checked, workers=min(cores(), len(runs)), told=told)
    except BrokenProcessPool:
        output.note("a worker process died: is there memory enough?")
        return output.FAILED
    took_s = time.monotonic() - started_s
    output.note(f"{took_s:.1f} s, {facts / max(took_s, 1e-9):,.0f} facts a second")
    if tally.failed is not None:
        _tell_failure(tally.failed, say)
    output.print_line(f"{tally.passed} passed, {int(tally.failed is not None)} failed")
    return output.DONE if tally.failed is None else output.FAILED


def _tell_failure(failed: Outcome, say: Callable[[str], None]) -> None:
    for text in failed.failed:
        say(f"seed {failed.seed} failed: {text}")
    say(f"    {failed.options.command()}")
    end_s = time.monotonic() + SHRINK_S_MAX
    smallest = shrink(failed, run_checked, go_on=lambda: time.monotonic() < end_s)
    for text in smallest.failed:
        say(f"shrunk: {text}")
    say(f"    {smallest.options.command()}")
