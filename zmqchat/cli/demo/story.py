"""What happens in the demo, step by step; each step waits for what it tells, and fails where that does not happen."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

from zmqchat.cli.demo.cast import Acknowledged, Actor, DemoFailed
from zmqchat.cli.demo.screen import Screen
from zmqchat.cli.demo.verdict import Timeline, agree, faults

NAMES = ("ann", "bob", "cem", "dee", "eve")
FOUND_TIMEOUT_S = 3.0
"""Nodes on one network have found each other within this; then they are told."""

TOUCH_TIMEOUT_S = 15.0
STREAMED_BEFORE_KILL = 400
STREAM_TIMEOUT_S = 15.0
SETTLE_TIMEOUT_S = 10.0
LOOK_S = 0.1


class Story:
    """The five nodes and what becomes of them."""

    def __init__(self, screen: Screen, folder: Path) -> None:
        self._screen = screen
        self._acknowledged = Acknowledged()
        self._actors = {name: Actor(name, folder, screen, self._acknowledged) for name in NAMES}
        self.ann, self.bob, self.cem, self.dee, self.eve = self._actors.values()
        self._running: list[Actor] = []
        self._mesh = f"demo {secrets.token_hex(4)}"
        self._has_multicast = True
        self._kept: dict[str, Timeline] = {}

    def play(self) -> list[str]:
        """The whole story; gives what was wrong at its end, nothing where all was well."""
        self.meet()
        self.talk()
        self.kill()
        self.cut_off()
        self.leave()
        self.arrive()
        return self.compare()

    def end(self) -> None:
        """End all processes, wherever the story stands."""
        for actor in self._actors.values():
            actor.end()

    # Steps -----------------------------------------------------------------------------------------------

    def meet(self) -> None:
        """Four nodes start and find each other, by multicast where the loopback interface has it."""
        screen = self._screen
        screen.step("Four nodes start, and nobody tells them of each other")
        self._running = [self.ann, self.bob, self.cem, self.dee]
        with screen.waiting("starting four processes"):
            for actor in self._running:
                actor.begin(self._mesh, True, [])
            for actor in self._running:
                actor.opened()
        started_s = time.monotonic()
        with screen.waiting("finding each other by multicast DNS"):
            multicast = self.ann.process.ask("multicast")
            self._has_multicast = multicast["works"] and self._touch_within(FOUND_TIMEOUT_S)
        if self._has_multicast:
            took_s = time.monotonic() - started_s
            screen.tell(
                f"Each is in touch with the others {took_s:.1f} s after the last was up: found by multicast DNS."
            )
            return
        why = (multicast["problem"] or f"nobody was found by it within {FOUND_TIMEOUT_S:g} s").partition(";")[0]
        screen.tell(f"Multicast on the loopback interface is not to be had here ({why}).")
        screen.tell(f"So each is told one address, that of ann ({self.ann.address}), as --peer would.")
        for actor in self._running[1:]:
            actor.process.ask("dial", address=self.ann.address)
        with screen.waiting("learning the other addresses from ann"):
            self._all_in_touch()
        screen.tell("Each is in touch with the three others: ann told them the rest.")

    def talk(self) -> None:
        """Everybody says something."""
        self._screen.step("They talk; send() returns once the text is on the disk")
        self.ann.say("Good morning! Who is here?")
        self.bob.say("bob. No server in sight.")
        self.cem.say("cem, 早上好")
        self.dee.say("dee. I keep whatever you say.")

    def kill(self) -> None:
        """bob dies while it sends, and comes back on the same home."""
        screen = self._screen
        screen.step("bob is killed while it sends (SIGKILL)")
        before = len(self._acknowledged.texts())
        self.bob.process.tell("stream", text="bob counts:")
        screen.state("bob", "sending")
        with screen.waiting("bob sends as fast as it likes"):
            if not self._acknowledged.wait(before + STREAMED_BEFORE_KILL, STREAM_TIMEOUT_S):
                raise DemoFailed(f"bob has not sent {STREAMED_BEFORE_KILL} messages within {STREAM_TIMEOUT_S:g} s")
        self.bob.kill()
        promised = len(self._acknowledged.texts()) - before
        screen.tell(f"{promised} of its messages were acknowledged when it died; it was still sending.")
        self._running.remove(self.bob)
        self._all_in_touch()
        self.ann.say("bob? bob!")
        started_s = time.monotonic()
        self.bob.begin(self._mesh, self._has_multicast, [])
        with screen.waiting("bob starts again on the same home"):
            self.bob.opened()
            self._running.append(self.bob)
            self._all_in_touch()
        took_s = time.monotonic() - started_s
        own = self.bob.count_by("bob") - 1
        screen.tell(f"bob is back with all after {took_s:.1f} s; its store opened without repair.")
        extra = f", and {own - promised} not yet acknowledged" if own > promised else ""
        screen.tell(f"It holds {min(own, promised)} of the {promised} acknowledged ones{extra}.")
        self.bob.say("I am fine. What did I miss?")

    def cut_off(self) -> None:
        """cem is cut off, talks alone, and comes back."""
        screen = self._screen
        others = [self.ann, self.bob, self.dee]
        screen.step("cem is cut off: its process runs, but no frame leaves or reaches it")
        screen.tell("(The cut is made inside its node: to pull a real cable takes an administrator.)", style="dim")
        self.cem.process.ask("cut", is_cut=True)
        screen.state("cem", "cut off")
        for text in ("Is this thing on?", "I write it down all the same.", "Somebody will want to read it."):
            self.cem.say(text, until="stored")
        self.dee.say("cem is so quiet.", until="stored")
        with screen.waiting("each side notices: 6 s without a sign of life"):
            self.cem.must_touch(set(), TOUCH_TIMEOUT_S)
            self._running = others
            self._all_in_touch()
        screen.tell("cem sees nobody any more, and nobody sees cem. Both sides go on:")
        self.cem.say("All alone here.", until="stored")
        self.ann.say("We go on without cem.")
        self.cem.process.ask("cut", is_cut=False)
        screen.state("cem", "running")
        started_s = time.monotonic()
        self._running = [*others, self.cem]
        with screen.waiting("the cable is back: redialling, comparing, filling in"):
            promised = self._acknowledged.texts()
            lacking = [actor.name for actor in self._running if not actor.holds(promised)]
            self._all_in_touch()
        if lacking:
            raise DemoFailed(f"{', '.join(lacking)} did not catch up after cem came back")
        took_s = time.monotonic() - started_s
        screen.tell(f"The cable is back; {took_s:.1f} s later all four hold what either side said.")

    def leave(self) -> None:
        """ann, who spoke first, leaves for good."""
        screen = self._screen
        screen.step("ann, the first author, leaves for good")
        self.ann.say("I have to go. Keep my words.")
        timelines = self._settled()
        self._kept["ann"] = timelines["ann"]
        self.ann.leave()
        self._running.remove(self.ann)
        with screen.waiting("the others are told goodbye"):
            self._all_in_touch()
        screen.tell("Its process has ended and its folder is deleted.")

    def arrive(self) -> None:
        """eve, who never met ann, arrives."""
        screen = self._screen
        screen.step("eve arrives, a newcomer with an empty store")
        started_s = time.monotonic()
        self.eve.begin(self._mesh, self._has_multicast, [] if self._has_multicast else [self.dee.address])
        with screen.waiting("eve starts, finds the others and catches up"):
            self.eve.opened()
            self._running.append(self.eve)
            self._all_in_touch()
            self.eve.holds(self._acknowledged.texts())
        took_s = time.monotonic() - started_s
        by_ann = self.eve.count_by("ann")
        screen.tell(f"After {took_s:.1f} s it has it all, with {by_ann} messages of ann, whom it never met.")

    def compare(self) -> list[str]:
        """Every store's timeline, and whether they are one."""
        screen = self._screen
        screen.step("What each store holds, as a digest over the ids in timeline order")
        timelines = {**self._kept, **self._settled()}
        ordered = {name: timelines[name] for name in NAMES}
        screen.digests(ordered, {"ann": "when it left", "eve": "the newcomer"})
        return faults(ordered, self._acknowledged.texts())

    @property
    def promises(self) -> int:
        """How many messages were acknowledged."""
        return len(self._acknowledged.texts())

    # Waiting ---------------------------------------------------------------------------------------------

    def _touch_within(self, timeout_s: float) -> bool:
        """Whether all that run get in touch with each other in time."""
        deadline_s = time.monotonic() + timeout_s
        names = {actor.name for actor in self._running}
        return all(
            actor.touches(names - {actor.name}, max(0.0, deadline_s - time.monotonic())) for actor in self._running
        )

    def _all_in_touch(self) -> None:
        names = {actor.name for actor in self._running}
        for actor in self._running:
            actor.must_touch(names - {actor.name}, TOUCH_TIMEOUT_S)

    def _settled(self) -> dict[str, Timeline]:
        """The timelines of all that run, once they are equal; as they are where that takes too long."""
        deadline_s = time.monotonic() + SETTLE_TIMEOUT_S
        while True:
            timelines = {actor.name: actor.timeline() for actor in self._running}
            if agree(timelines) or time.monotonic() > deadline_s:
                return timelines
            time.sleep(LOOK_S)
