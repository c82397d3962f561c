"""A TCP relay that counts bytes: the same three ports on another loopback address."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from types import TracebackType

HOST = "127.0.0.2"
TARGET = "127.0.0.1"
CHUNK_BYTES = 65_536


class CountingProxy:
    """Relays HOST:port to TARGET:port for each port; `bytes` counts both directions."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = tuple(ports)
        self.address = f"{HOST}:{self._ports[0]}"
        self.bytes = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="bench proxy", daemon=True)

    def __enter__(self) -> CountingProxy:
        self._thread.start()
        self._ready.wait(5)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(5)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        servers = [await asyncio.start_server(self._relay, HOST, port) for port in self._ports]
        self._ready.set()
        await self._end.wait()
        # The next run takes the same ports.
        for server in servers:
            server.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = writer.get_extra_info("sockname")[1]
        there_reader, there_writer = await asyncio.open_connection(TARGET, port)
        await asyncio.gather(self._copy(reader, there_writer), self._copy(there_reader, writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(CHUNK_BYTES):
                self.bytes += len(data)
                writer.write(data)
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            return
        finally:
            writer.close()
