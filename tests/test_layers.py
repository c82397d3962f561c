"""The layers of the architecture: a layer imports only layers below it, and the core stays pure."""

from __future__ import annotations

import pytest

from tests.support.layers import HOMES, LAYERS, layer_faults
from tests.support.sources import REPO, Source, python_sources


def test_no_file_imports_upward_sideways_or_foreign() -> None:
    """Every file of zmqchat keeps to its layer, and layers 1 to 4 read no clock, socket, thread or chance."""
    faults = [fault for source in python_sources("zmqchat") for fault in layer_faults(source)]
    assert not faults, "\n".join(faults)


def test_every_folder_is_a_layer() -> None:
    """A new folder under zmqchat/ must be given its place in the table first."""
    folders = {path.parent.name for path in (REPO / "zmqchat").glob("*/*.py")}
    assert folders <= set(LAYERS)


def test_every_home_is_a_dependency_of_the_package() -> None:
    """The third-party libraries of the table are the ones that setup.cfg installs."""
    declared = (REPO / "setup.cfg").read_text(encoding="utf-8").lower()
    names = {"zmq": "pyzmq", "nacl": "pynacl"}
    assert [name for name in HOMES if f"    {names.get(name, name)}>=" not in declared] == []


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("zmqchat/model/x.py", "import zmqchat.wire.frames", "upward"),
        ("zmqchat/model/x.py", "from zmqchat import protocol", "upward"),
        ("zmqchat/model/x.py", "from zmqchat import Node", "upward"),
        ("zmqchat/wire/x.py", "def f():\n    from zmqchat.history.batch import seal", "upward"),
        ("zmqchat/net/x.py", "from zmqchat.crypto.keys import curve_key", "sideways"),
        ("zmqchat/store/x.py", "import zmqchat.discovery.mdns", "sideways"),
        ("zmqchat/node/x.py", "from zmqchat.cli.main import main", "upward"),
        ("zmqchat/cli/x.py", "from zmqchat.store.lmdb import open_store", "only through"),
        ("zmqchat/history/x.py", "import msgpack", "msgpack lives in wire"),
        ("zmqchat/net/x.py", "import zmq.asyncio\nimport lmdb", "lmdb lives in store"),
        ("zmqchat/node/x.py", "import requests", "no dependency"),
        ("zmqchat/tools/x.py", "", "no layer"),
        ("zmqchat/protocol/x.py", "import time", "time is impure"),
        ("zmqchat/protocol/x.py", "from random import Random, random", "random is impure"),
        ("zmqchat/protocol/x.py", "from random import Random\nrng = Random(1)", "calls Random"),
        ("zmqchat/history/x.py", "import threading", "threading is impure"),
        ("zmqchat/wire/x.py", "from os import environ", "os is impure"),
        ("zmqchat/wire/x.py", "import asyncio.queues", "asyncio is impure"),
        ("zmqchat/model/x.py", "try:\n    import socket\nexcept ImportError:\n    pass", "socket is impure"),
        ("zmqchat/model/x.py", "from datetime import datetime\nx = datetime.now()", "the time is an argument"),
        ("zmqchat/history/x.py", "open('x')", "calls open"),
    ],
)
def test_a_planted_violation_is_found(path: str, text: str, expected: str) -> None:
    """The reader of imports sees each kind of violation, at the top, in a function and in a try block."""
    faults = layer_faults(Source(path, text))
    assert len(faults) == 1
    assert expected in faults[0]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("zmqchat/protocol/x.py", "from zmqchat.model.ids import PeerId\nfrom zmqchat.protocol.facts import Fact"),
        ("zmqchat/protocol/x.py", "from random import Random\n\ndef f(rng: Random): ..."),
        ("zmqchat/protocol/x.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import os"),
        ("zmqchat/net/x.py", "import asyncio, time, zmq\nfrom zmqchat.protocol.effects import Send"),
        ("zmqchat/node/x.py", "from zmqchat import __version__\nfrom zmqchat.net.transport import Transport"),
        ("zmqchat/cli/x.py", "import click\nfrom zmqchat import Node\nfrom zmqchat.model.errors import ZmqChatError"),
        ("zmqchat/sync.py", "from zmqchat.node.node import Node"),
    ],
)
def test_what_is_allowed_is_not_reported(path: str, text: str) -> None:
    """Downward imports, a library in its home, and types for the checker alone are fine."""
    assert layer_faults(Source(path, text)) == []
