"""The light client of a running node: a blocking socket and JSON lines, nothing else to import.

One thread reads; any thread may write. What a request answers is said in `zmqchat/node/control_requests.py`.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zmqchat.model import errors
from zmqchat.model.errors import ControlError, ZmqChatError
from zmqchat.model.limits import CONTROL_LINE_BYTES_MAX
from zmqchat.node.control_address import HAS_UNIX_SOCKETS, read_loopback_address
from zmqchat.node.home import control_path

Fields = dict[str, Any]
CONNECT_TIMEOUT_S = 2.0


class Refused(ControlError):
    """The node answered with an error; `kind` is the class that raised it there."""

    def __init__(self, kind: str, text: str) -> None:
        self.kind = kind
        super().__init__(text)

    @property
    def original(self) -> type[ZmqChatError]:
        """The class of our tree that the node raised."""
        found = getattr(errors, self.kind, ZmqChatError)
        return found if isinstance(found, type) and issubclass(found, ZmqChatError) else ZmqChatError


class Disconnected(ControlError):
    """The node is gone."""


class ControlClient:
    """A connection to the node that runs on a home; `is_closed` once we have left."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._reader = connection.makefile("rb")
        self._writing = threading.Lock()
        self._ids = itertools.count(1)
        self.is_closed = False

    def ask(self, operation: str, **fields: object) -> Fields:
        """Ask for one answer. Raises Refused or Disconnected."""
        done: Fields = {}
        for answer in self.stream(operation, **fields):
            done = answer.get("done", done)
        return done

    def items(self, operation: str, **fields: object) -> Iterator[Fields]:
        """Ask for several answers. Raises Refused or Disconnected."""
        return self.answers(self.begin(operation, **fields))

    def stream(self, operation: str, **fields: object) -> Iterator[Fields]:
        """All answers to a request, `done` the last. Raises Refused or Disconnected."""
        return self._answers(self.begin(operation, **fields))

    def answers(self, request: str) -> Iterator[Fields]:
        """The items of a request that was begun. Raises Refused or Disconnected."""
        for answer in self._answers(request):
            if "item" in answer:
                yield answer["item"]

    def _answers(self, request: str) -> Iterator[Fields]:
        while True:
            answer = self.read()
            if answer.get("id", request) != request:
                continue
            raise_error(answer)
            yield answer
            if "done" in answer:
                return

    def begin(self, operation: str, **fields: object) -> str:
        """Send a request and return its id; `read` gives the answers."""
        request = str(next(self._ids))
        self.write({"id": request, "op": operation, **fields})
        return request

    def write(self, fields: Fields) -> None:
        """Send one line. Raises Disconnected."""
        line = json.dumps(fields, separators=(",", ":")).encode("ascii") + b"\n"
        try:
            with self._writing:
                self._connection.sendall(line)
        except OSError as error:
            raise Disconnected("the node on this home is gone") from error

    def read(self) -> Fields:
        """The next answer to any request. Raises Disconnected, or Refused where the node ends the connection."""
        try:
            line = self._reader.readline(CONTROL_LINE_BYTES_MAX + 1)
        except (OSError, ValueError) as error:
            raise Disconnected("the node on this home is gone") from error
        if not line.endswith(b"\n"):
            raise Disconnected("the node on this home is gone")
        try:
            answer = json.loads(line)
        except ValueError as error:
            raise Disconnected("the node on this home does not speak our language") from error
        if not isinstance(answer, dict):
            raise Disconnected("the node on this home does not speak our language")
        if "id" not in answer:
            raise_error(answer)
        return answer

    def close(self) -> None:
        """Leave; a thread that reads is woken."""
        self.is_closed = True
        with contextlib.suppress(OSError):  # the node has left first
            self._connection.shutdown(socket.SHUT_RDWR)
        self._reader.close()
        self._connection.close()


def raise_error(answer: Fields) -> None:
    """Raise Refused where an answer says so."""
    error = answer.get("error")
    if isinstance(error, dict):
        raise Refused(str(error.get("kind", "")), str(error.get("text", "the node refused")))


def connect(home: Path) -> ControlClient | None:
    """Connect to the node that runs on this home; None where none does."""
    connection = _connect_unix(home) if HAS_UNIX_SOCKETS else None
    if connection is not None:
        return ControlClient(connection)
    address = read_loopback_address(home)
    if address is None:
        return None
    try:
        connection = socket.create_connection(("127.0.0.1", address.port), timeout=CONNECT_TIMEOUT_S)
    except OSError:
        return None
    connection.settimeout(None)
    client = ControlClient(connection)
    client.write({"token": address.token})
    return client


def _connect_unix(home: Path) -> socket.socket | None:
    if sys.platform != "win32":
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(CONNECT_TIMEOUT_S)
            connection.connect(str(control_path(home)))
        except OSError as error:
            connection.close()
            if error.errno in (errno.EACCES, errno.EPERM):
                raise ControlError(f"the node on {home} belongs to another user: choose a home of your own") from error
            return None
        connection.settimeout(None)
        return connection
    return None
