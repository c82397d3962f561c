"""Readers and the one who resizes keep out of each other's way."""

from __future__ import annotations

import threading

import pytest

from zmqchat.store.gate import Gate


def test_shutting_waits_for_the_readers_and_holds_new_ones_back() -> None:
    """While it is shut no reader is inside, and all get in afterwards."""
    gate = Gate()
    inside = 0
    most_while_shut = 0
    lock = threading.Lock()
    done = threading.Event()

    def read() -> None:
        nonlocal inside
        while not done.is_set():
            gate.enter()
            with lock:
                inside += 1
            with lock:
                inside -= 1
            gate.leave()

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(200):
        with gate.shut(10):
            most_while_shut = max(most_while_shut, inside)
    done.set()
    for thread in threads:
        thread.join(10)
    assert most_while_shut == 0
    assert not any(thread.is_alive() for thread in threads)


def test_a_reader_that_does_not_leave_ends_the_wait() -> None:
    """The writer gives up with an error rather than wait for ever, and the gate is open again."""
    gate = Gate()
    gate.enter()
    with pytest.raises(TimeoutError), gate.shut(0.01):
        pass
    gate.enter()
    gate.leave()
    gate.leave()
    with gate.shut(0.01):
        pass


def test_an_error_inside_opens_it_again() -> None:
    """A resize that fails leaves nobody waiting."""
    gate = Gate()
    with pytest.raises(RuntimeError), gate.shut(1):
        raise RuntimeError("resize failed")
    gate.enter()
    gate.leave()
