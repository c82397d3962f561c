"""A command's way to its node: the one that runs on the home, else one that is started for as long as it is needed.

Two commands at once may both find none: the home's lock decides, and the loser uses the winner's node.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING

from zmqchat.cli.client import ControlClient, Fields, connect
from zmqchat.cli.options import StartOptions
from zmqchat.cli.output import note
from zmqchat.model.errors import HomeInUse, ZmqChatError

if TYPE_CHECKING:
    from zmqchat.cli.local_node import LocalNode

RETRY_S = 5.0
"""A node has its control socket soon after it owns the home, and gives the home up 2 s after it at the latest."""

NOTICES_KNOWN_MAX = 100
"""As many as a node keeps."""

RETRY_STEP_S = 0.05
CLIENTS_STEP_S = 0.1

LEAVES_LATER = "it leaves when zmqchat next runs on this home"
PASSED_ON = "who has it passes it on"

START_LOCAL: Callable[[StartOptions], LocalNode] | None = None
"""How a node is started; None for a real one. Tests put a node in memory here."""


class Session:
    """A control client, and the node behind it where this command started it."""

    def __init__(
        self, options: StartOptions, client: ControlClient, local: LocalNode | None, notices: Iterable[str] = ()
    ) -> None:
        self.options = options
        self.client = client
        self._local = local
        self._known_notices = deque(notices, NOTICES_KNOWN_MAX)
        self._knowing = threading.Lock()
        self._stays = True
        self._others: list[ControlClient] = []

    @property
    def is_local(self) -> bool:
        """Whether the node was started for this command and leaves with it."""
        return self._local is not None

    def connect(self) -> ControlClient:
        """A further connection to the same node, for another thread. Raises HomeInUse where none can be had."""
        client = connect(self.options.home)
        if client is None:
            raise HomeInUse(str(self.options.home), None)
        self._others.append(client)
        return client

    def status(self) -> Fields:
        """What the node says of itself."""
        return self.client.ask("status")

    def is_news(self, notice: str) -> bool:
        """Whether the user has not been told of a notice of the node; from now on it counts as told."""
        with self._knowing:
            if notice in self._known_notices:
                return False
            self._known_notices.append(notice)
            return True

    def new_notices(self) -> list[str]:
        """The notices of the node that the user has not been told of. Raises ControlError.

        They are asked for once the node's events are listened to, as what came before is no event any more.
        """
        with contextlib.closing(self.connect()) as client:  # on one of its own, as the other may be in use
            notices = client.ask("status").get("notices", [])
        return [str(notice) for notice in notices if self.is_news(str(notice))]

    def linger(self, seconds: float, late: str | None = None) -> None:
        """Let a node of our own stay until another node holds what was sent, and say so where none did.

        late  what is to be told in any case of a message that has not got there in time: it ends with what follows
        """
        if self._local is None:
            return
        held = self.client.ask("linger", timeout=seconds).get("held")
        if late is not None:
            note(f"{late}; {PASSED_ON if held else LEAVES_LATER}")
        elif not held:
            note(f"stored here only; {LEAVES_LATER}")

    def wait_for_others(self) -> None:
        """Let a node of our own stay while other commands use it; ended by Ctrl-C."""
        if self._local is None:
            return
        told = False
        since_s = time.monotonic()
        while (others := self._local.clients() - self._own_connections()) > 0:
            if not told and time.monotonic() - since_s > 1.0:
                told = True
                note(f"staying while {others} other command{'s' if others > 1 else ''} use this node; Ctrl-C leaves")
            time.sleep(CLIENTS_STEP_S)

    def _own_connections(self) -> int:
        return sum(not client.is_closed for client in (self.client, *self._others))

    def close(self) -> None:
        """Leave; a node of our own stops."""
        for client in (*self._others, self.client):
            client.close()
        self._others.clear()
        if self._local is not None:
            self._local.stop()

    def leave_at_once(self) -> None:
        """At the end, do not stay for the sake of other commands: who told us to stop meant the node."""
        self._stays = False

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self._local is not None:
                with contextlib.suppress(ZmqChatError, OSError):  # the node has stopped
                    for notice in self.new_notices():
                        note(notice)
            if kind is None and self._stays:
                self.wait_for_others()
        finally:
            self.close()


def open_session(options: StartOptions, *, own: bool = False) -> Session:
    """Connect to the node of this home, or start one. Raises HomeError, NetworkError, UsageError, ControlError.

    own   only a node of our own will do: HomeInUse where one runs
    """
    deadline_s = time.monotonic() + RETRY_S
    while True:
        client = connect(options.home)
        if client is not None:
            return _joined(options, client, own)
        try:
            return _started(options)
        except HomeInUse:
            # Another command is starting the node, or has just stopped one.
            if time.monotonic() >= deadline_s:
                raise
            time.sleep(RETRY_STEP_S)


def _started(options: StartOptions) -> Session:
    from zmqchat.cli.local_node import LocalNode  # with it come the sockets, the store and their imports

    local = (START_LOCAL or LocalNode)(options)
    local.start()
    client = connect(options.home)
    if client is None:
        local.stop()
        raise HomeInUse(str(options.home), None)
    session = Session(options, client, local)
    for notice in session.new_notices():
        note(notice)
    return session


def _joined(options: StartOptions, client: ControlClient, own: bool) -> Session:
    try:
        status = client.ask("status")
        if own:
            raise HomeInUse(str(options.home), status.get("pid"))
        for line in options.disagreements(status.get("name"), status.get("settings")):
            note(f"the node on this home runs already, without {line}")
        for peer in options.peers:
            client.ask("add_peer", address=peer)
    except BaseException:
        client.close()
        raise
    return Session(options, client, None, status.get("notices", ()))
