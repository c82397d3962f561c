"""What a simulated run is told, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """All that a run depends on; the same options give the same run, to the digest.

    scenario     the name of what is played, of `scenarios.SCENARIOS`
    nodes        how many nodes there are
    duration_s   simulated seconds of trouble; then everything is made whole, and the nodes may settle
    faults       the kinds of trouble, by name; which are known, the scenario says
    """

    seed: int
    scenario: str = "chat"
    nodes: int = 5
    duration_s: float = 30.0
    faults: tuple[str, ...] = ()

    def command(self) -> str:
        """The command line that repeats this run."""
        words = ["zmqchat", "sim", "--seed", str(self.seed), "--scenario", self.scenario]
        words += ["--nodes", str(self.nodes), "--duration", _number(self.duration_s)]
        if not self.faults:
            words.append("--no-faults")
        for fault in self.faults:
            words += ["--fault", fault]
        return " ".join(words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a run.

    digest   of all that happened, in hexadecimal
    facts    how many facts the meshes of all nodes have routed
    failed   a line for each checker that failed: its name, a colon, what it found
    notes    what checkers have measured, for people
    """

    seed: int
    options: Options
    digest: str
    facts: int
    failed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def _number(value: float) -> str:
    """The shortest text that is read back as the same number."""
    return str(int(value)) if value == int(value) else repr(value)
