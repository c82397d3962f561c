"""The relay that counts bytes for `bench wire`."""

from __future__ import annotations

import socket
import threading

from zmqchat.cli.bench.proxy import HOST, TARGET, CountingProxy


def test_each_run_may_use_the_same_ports() -> None:
    """What passes is counted both ways, and the end of a run leaves its ports free for the next."""
    with socket.create_server((TARGET, 0)) as target:
        port = target.getsockname()[1]
        answering = threading.Thread(target=_answer, args=(target, 2), daemon=True)
        answering.start()
        for _run in range(2):
            with CountingProxy([port]) as proxy, socket.create_connection((HOST, port), timeout=5) as connection:
                connection.settimeout(5)
                connection.sendall(b"12345")
                assert connection.recv(3) == b"678"
                assert proxy.bytes == 8
        answering.join(5)


def _answer(target: socket.socket, times: int) -> None:
    for _ in range(times):
        connection, _address = target.accept()
        with connection:
            assert connection.recv(5) == b"12345"
            connection.sendall(b"678")
            connection.recv(1)
