"""The control server: other processes of this user use the running node through a socket in its home.

How it works. One JSON object a line, both ways; `control_requests.py` says what may be asked. Each connection is one
reading loop; a request runs as a task of it, so that a long one does not hold up the next. What a client does not read
waits in a buffer of 64 KiB, and then its requests wait: cursors hold nothing meanwhile. A client that breaks the rules
is told in one line and cut. What was accepted to be sent is sent, though its client is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import logging
import os
import secrets
import socket
import struct
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zmqchat.model.errors import ControlError, UsageError
from zmqchat.model.limits import (
    CONTROL_CLIENTS_MAX,
    CONTROL_LINE_BYTES_MAX,
    CONTROL_REQUESTS_MAX,
    CONTROL_WRITE_BUFFER_BYTES_MAX,
)
from zmqchat.node.control_address import (
    HAS_UNIX_SOCKETS,
    TOKEN_FILE,
    LoopbackAddress,
    prepared_socket_path,
    remove_stale_sockets,
    write_loopback_address,
)
from zmqchat.node.control_requests import OPERATIONS, Request, error_record, line_of
from zmqchat.node.control_sent import SentMemory
from zmqchat.node.records import Record

if TYPE_CHECKING:
    from zmqchat.node.node import Node

Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]
TOKEN_TIMEOUT_S = 2.0
ARRIVAL_TURNS = 3
"""Turns of the loop between the moment that asyncio accepts a connection and the one that it calls us."""

_log = logging.getLogger("zmqchat.control")
_encode = json.JSONEncoder(separators=(",", ":")).encode


class ControlServer:
    """Lets commands use a node; the node's home must be locked by this process.

    settings   how the node was started, for commands that were given other options
    """

    def __init__(self, node: Node, home: Path, settings: Mapping[str, object]) -> None:
        self._node = node
        self._home = home
        self._settings = settings
        self._memory = SentMemory()
        self._server: asyncio.Server | None = None
        self._path: Path | None = None
        self._token: str | None = None
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._served: set[asyncio.Task[None]] = set()
        self._is_stopped = False

    @property
    def clients(self) -> int:
        """How many clients are connected."""
        return len(self._served)

    async def start(self) -> None:
        """Listen from now on. Raises ControlError where no socket can be had."""
        try:
            if HAS_UNIX_SOCKETS:
                try:
                    await self._listen_unix()
                    return
                except OSError as error:
                    _log.info("no Unix socket in %s (%s): using a loopback port", self._home, error)
            await self._listen_loopback()
        except OSError as error:
            raise ControlError(f"no control socket can be made in {self._home}: {error.strerror}") from error

    async def _listen_unix(self) -> None:
        with prepared_socket_path(self._home) as path:
            self._server = await _start_unix_server(self._connected, path)
            self._path = path
            path.chmod(0o600)
            await self._server.start_serving()
        remove_stale_sockets(path)
        (self._home / TOKEN_FILE).unlink(missing_ok=True)

    async def _listen_loopback(self) -> None:
        self._token = secrets.token_hex(32)
        self._server = await asyncio.start_server(
            self._connected, "127.0.0.1", 0, limit=CONTROL_LINE_BYTES_MAX, start_serving=False
        )
        await self._server.start_serving()
        port = self._server.sockets[0].getsockname()[1]
        self._path = self._home / TOKEN_FILE
        write_loopback_address(self._home, LoopbackAddress(port, self._token))

    async def stop(self) -> None:
        """Cut all clients and leave no socket behind."""
        self._is_stopped = True
        if self._server is not None:
            await _close_server(self._server)
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._memory.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a client; no coroutine, as a stop must know of each, also of one whose task has not begun to run."""
        if self._is_stopped:
            writer.transport.abort()
            return
        is_served = len(self._served) < CONTROL_CLIENTS_MAX
        serving = self._serve(reader, writer) if is_served else _refuse(writer)
        task = asyncio.get_running_loop().create_task(serving, name="zmqchat control client")
        self._connections[task] = writer
        if is_served:
            self._served.add(task)
        task.add_done_callback(self._gone)

    def _gone(self, task: asyncio.Task[None]) -> None:
        self._served.discard(task)
        self._connections.pop(task).transport.abort()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("serving a control client failed", exc_info=error)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if await self._is_allowed(reader, writer):
                await _Connection(self._node, self._memory, self._settings, reader, writer).run()
        except (OSError, asyncio.IncompleteReadError):
            _log.debug("a control client is gone")

    async def _is_allowed(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if self._token is None:
            uid = peer_uid(writer.get_extra_info("socket"))
            return uid is None or uid in (_own_uid(), 0)
        try:
            line = await asyncio.wait_for(reader.readline(), TOKEN_TIMEOUT_S)
        except (ValueError, asyncio.TimeoutError):
            return False
        fields = _parsed(line)
        token = fields.get("token") if fields is not None else None
        return isinstance(token, str) and hmac.compare_digest(token.encode(errors="replace"), self._token.encode())


class _Connection:
    """One client."""

    def __init__(
        self,
        node: Node,
        memory: SentMemory,
        settings: Mapping[str, object],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._node = node
        self._memory = memory
        self._settings = settings
        self._reader = reader
        self._writer = writer
        self._running: dict[str, tuple[Request, asyncio.Task[None]]] = {}
        self._writing = asyncio.Lock()
        writer.transport.set_write_buffer_limits(high=CONTROL_WRITE_BUFFER_BYTES_MAX)

    async def run(self) -> None:
        """Take requests until the client leaves."""
        try:
            while line := await self._read_line():
                fields = _parsed(line)
                if fields is None:
                    await _say(self._writer, UsageError("a request is one JSON object a line"))
                    return
                await self._take(fields)
        finally:
            tasks = [task for _request, task in self._running.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read_line(self) -> bytes | None:
        try:
            return await self._reader.readline()
        except ValueError:  # longer than the limit
            await _say(self._writer, UsageError(f"a request has at most {CONTROL_LINE_BYTES_MAX:,} bytes"))
            return None

    async def _take(self, fields: Mapping[str, Any]) -> None:
        operation = fields.get("op")
        running = self._running.get(str(fields.get("id", "")))
        if operation == "cancel":
            if running is not None:
                running[1].cancel()
        elif operation in ("line", "end"):
            await self._take_line(fields, running[0] if running is not None else None)
        else:
            await self._start(fields)

    async def _take_line(self, fields: Mapping[str, Any], request: Request | None) -> None:
        if request is None or request.stream is None:
            return  # its request has failed, which it was told
        try:
            await request.stream.put(line_of(fields) if fields["op"] == "line" else None)
        except UsageError as error:
            await request.item(n=fields.get("n"), error=error_record(error))

    async def _start(self, fields: Mapping[str, Any]) -> None:
        request = Request(self._node, self._memory, self._settings, fields, self._write)
        operation = fields.get("op")
        handler = OPERATIONS.get(operation) if isinstance(operation, str) else None
        if handler is None:
            await request.failed(
                UsageError(f"the running node knows no {str(operation)[:40]!r}: is it an older zmqchat?")
            )
        elif (
            len(self._running) >= CONTROL_REQUESTS_MAX or not 1 <= len(request.id) <= 64 or request.id in self._running
        ):
            await request.failed(
                UsageError(f"a request needs an id of its own, at most {CONTROL_REQUESTS_MAX} at once")
            )
        else:
            task = asyncio.get_running_loop().create_task(self._answer(request), name=f"zmqchat control {operation}")
            self._running[request.id] = (request, task)
            task.add_done_callback(lambda _task: self._running.pop(request.id, None))

    async def _answer(self, request: Request) -> None:
        try:
            result = await OPERATIONS[request.operation](request)
        except OSError:
            return  # the client is gone, which the reading loop sees too
        except Exception as error:  # noqa: BLE001  # a request must not take the node down: its client is told
            _log.debug("a control request failed", exc_info=True)
            with contextlib.suppress(OSError):
                await request.failed(error)
        else:
            with contextlib.suppress(OSError):
                await request.done(result)

    async def _write(self, *records: Record) -> None:
        async with self._writing:  # Python 3.10 allows one drain at a time
            waiting = bytearray()
            for record in records:
                waiting += _line(record)
                if len(waiting) >= CONTROL_WRITE_BUFFER_BYTES_MAX:
                    self._writer.write(waiting)
                    waiting = bytearray()
                    await self._writer.drain()
            self._writer.write(waiting)
            await self._writer.drain()


async def _close_server(server: asyncio.Server) -> None:
    """Accept nobody any more, then close: asyncio would leave a connection open that it has accepted just before."""
    with contextlib.suppress(NotImplementedError):  # Windows' default loop accepts otherwise
        for listener in server.sockets:
            asyncio.get_running_loop().remove_reader(listener)
    for _ in range(ARRIVAL_TURNS):
        await asyncio.sleep(0)
    server.close()


async def _refuse(writer: asyncio.StreamWriter) -> None:
    await _say(writer, ControlError(f"{CONTROL_CLIENTS_MAX} commands use this node already: end some"))


async def _say(writer: asyncio.StreamWriter, error: Exception) -> None:
    """A last word to a client that is cut, as far as it listens."""
    with contextlib.suppress(OSError, asyncio.TimeoutError):
        writer.write(_line({"error": error_record(error)}))
        writer.close()
        await asyncio.wait_for(writer.wait_closed(), 0.5)


def _line(record: Record) -> bytes:
    return _encode(record).encode("ascii") + b"\n"


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def peer_uid(connection: socket.socket | None) -> int | None:
    """The user at the other end of a Unix socket; None where the system does not tell."""
    if connection is None:
        return None
    try:
        if hasattr(socket, "SO_PEERCRED"):
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            return int(struct.unpack("3i", credentials)[1])
        # LOCAL_PEERCRED of macOS and BSD: a version, then the effective user.
        credentials = connection.getsockopt(0, 1, 8)
        return int(struct.unpack("iI", credentials)[1])
    except (OSError, struct.error):
        return None


async def _start_unix_server(connected: Connected, path: Path) -> asyncio.Server:
    if sys.platform != "win32":
        # Without start_serving there is no moment at which a cancellation would lose the bound socket.
        return await asyncio.start_unix_server(connected, path, limit=CONTROL_LINE_BYTES_MAX, start_serving=False)
    raise OSError(f"no Unix socket can be made at {path} on Windows")


def _own_uid() -> int:
    if sys.platform != "win32":
        return os.geteuid()
    return 0
