"""One simulated run: from options to an outcome, the same each time.

How it works. The scenario plans its commands; simulated time passes up to the end of the trouble, with a look at the
bounds every STEP_S (in a large world LARGE_STEP_S); then all is made whole, and the nodes get time to settle: until all
members of each room hold the same and nothing waits, at most the scenario's settle_s, and a little more. In a mesh of
few links they get more still, until all have heard who came and left, and each author of all who hold its newest
message. Last the checkers look at what is there. What a machine throws ends the run, which has failed then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from zmqchat.sim.checks import Checker, TraceSink
from zmqchat.sim.faults import plan_faults
from zmqchat.sim.options import Options, Outcome
from zmqchat.sim.scenarios import SCENARIOS
from zmqchat.sim.scenarios.scenario import Scenario
from zmqchat.sim.watch import Watch
from zmqchat.sim.world import WATCHED_ALL_MAX, World

STEP_S: Final = 0.1
LARGE_STEP_S: Final = 1.0
SETTLE_STEP_S: Final = 1.0


class Simulation:
    """A run that has not begun; checkers and trace take no part in it."""

    def __init__(
        self,
        options: Options,
        *,
        checkers: Sequence[Checker] = (),
        trace: TraceSink | None = None,
        scenario: Scenario | None = None,
    ) -> None:
        self.options = options
        self._scenario = scenario or SCENARIOS[options.scenario](options)
        self._watch = Watch([*checkers, *self._scenario.checkers()], trace)
        self._step_s = STEP_S if options.nodes <= WATCHED_ALL_MAX else LARGE_STEP_S
        self.world = World(options, self._scenario.nodes(), self._watch, self._scenario.config)
        self._scenario.found(self.world)
        self._scenario.plan(self.world)
        plan_faults(self.world)

    def run(self) -> Outcome:
        """Let it happen."""
        world = self.world
        self._pass(self.options.duration_s)
        if not world.schedule.stopped:
            world.make_whole()
            self._settle()
        if not world.schedule.stopped:
            self._watch.quiet(world)
        return Outcome(
            seed=self.options.seed,
            options=self.options,
            digest=world.digest.hex(),
            facts=world.facts,
            failed=tuple(self._watch.failed),
            notes=tuple(world.notes),
        )

    def _pass(self, seconds: float) -> None:
        schedule = self.world.schedule
        begun_s = schedule.now_s
        steps = 0
        while not schedule.stopped and schedule.now_s < begun_s + seconds:
            steps += 1
            schedule.run_until(min(begun_s + steps * self._step_s, begun_s + seconds))
            self._watch.step(self.world)

    def _settle(self) -> None:
        waited_s = 0.0
        # What was sent while a line was thin comes no sooner because it is thick now.
        settle_s = self._scenario.settle_s + self.world.network.backlog_s()
        while not self.world.schedule.stopped and waited_s < settle_s and not self._is_settled():
            self._pass(SETTLE_STEP_S)
            waited_s += SETTLE_STEP_S
        self._pass(self._scenario.rest_s)
        rested_s = 0.0
        while not self.world.schedule.stopped and rested_s < self._scenario.asked_s and self.world.awaits_word():
            self._pass(SETTLE_STEP_S)
            rested_s += SETTLE_STEP_S

    def _is_settled(self) -> bool:
        return self.world.agrees() and not self.world.network.backlog_s()
