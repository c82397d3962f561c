"""Host names are looked up off the loop, a few at a time."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from zmqchat.model.limits import NAME_LOOKUPS_AT_ONCE_MAX
from zmqchat.net.resolve import Resolver, is_literal


async def looked_up(resolver: Resolver, host: str) -> tuple[str, ...]:
    """The addresses of a host."""
    found: asyncio.Future[tuple[str, ...]] = asyncio.get_running_loop().create_future()
    resolver.resolve(host, found.set_result)
    return await asyncio.wait_for(found, 10)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "fe80::1%eth0", "10.1.2.3"])
async def test_addresses_need_no_look_up(host: str) -> None:
    """An address, with a scope or without, is given back as it is."""
    assert is_literal(host)
    assert await looked_up(Resolver(asyncio.get_running_loop()), host) == (host,)


async def test_names_are_looked_up_on_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's resolver never runs on the loop's thread; each address comes once, a few at most."""
    threads = []

    def fake(*_: object, **__: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        threads.append(threading.current_thread())
        return [(2, 1, 6, "", (f"10.0.0.{number % 6}", 0)) for number in range(12)]

    monkeypatch.setattr(socket, "getaddrinfo", fake)
    addresses = await looked_up(Resolver(asyncio.get_running_loop()), "some.host")
    assert addresses == ("10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3")
    assert threads[0] is not threading.current_thread()


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 300, "bad\0host", "x..y", "é" * 100])
async def test_unknown_and_malformed_names_have_no_address(host: str) -> None:
    """What can't be resolved ends as an empty answer, never as an exception."""
    assert not is_literal(host)
    assert await looked_up(Resolver(asyncio.get_running_loop()), host) == ()


async def test_slow_names_are_bounded_and_told_to_nobody_after_close(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the bound a name is answered as unknown at once; a closed resolver calls nobody."""
    go_on = threading.Event()

    def slow(*_: object, **__: object) -> list[object]:
        go_on.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    resolver = Resolver(asyncio.get_running_loop())
    told: list[tuple[str, ...]] = []
    for number in range(NAME_LOOKUPS_AT_ONCE_MAX):
        resolver.resolve(f"host-{number}", told.append)
    assert await looked_up(resolver, "one-too-many") == ()
    resolver.close()
    go_on.set()
    for thread in threading.enumerate():
        if thread.name == "zmqchat-resolve":
            await asyncio.to_thread(thread.join, 5)
    await asyncio.sleep(0)
    assert told == []
