"""What every test shares: the hypothesis profiles and a home of its own for whoever runs a node."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A loaded machine may take a second for one example: time limits belong to pytest-timeout. The fixtures
# that hypothesis warns about are folders, which examples may share.
_QUIET = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]
settings.register_profile("default", max_examples=60, deadline=None, suppress_health_check=_QUIET)
settings.register_profile("long", max_examples=2_000, deadline=None, suppress_health_check=_QUIET)
settings.load_profile(os.environ.get("ZMQCHAT_HYPOTHESIS", "default"))

# Who is started in the background by a shell ignores Ctrl-C, and so would the programs that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Where Python may keep no bytecode, each of the many programs that tests start would compile all that it imports.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
    os.environ["PYTHONPYCACHEPREFIX"] = tempfile.mkdtemp(prefix="zmqchat-tests-")
    atexit.register(shutil.rmtree, os.environ["PYTHONPYCACHEPREFIX"], ignore_errors=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of this suite."""
    parser.addoption("--rewrite", action="store_true", help="write down how the text scenarios play now")


def pytest_collection_finish() -> None:
    """What is imported by now lives to the end: collecting garbage after each test need not look at it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _leaves_nothing_to_others() -> Iterator[None]:
    """Whatever a test has forgotten to close or to wait for is found at its own end, not in a later test.

    The name makes it the first of its kind: it ends after all other fixtures, the event loop's among them.
    """
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep every test away from the homes of whoever runs it: nodes without `home=` land in a temporary one."""
    folder = tmp_path_factory.getbasetemp() / "user-data"
    folder.mkdir(exist_ok=True)
    for variable in ("XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, str(folder))
    monkeypatch.delenv("ZMQCHAT_HOME", raising=False)


@pytest.fixture
def home() -> Iterator[Path]:
    """A short path for a node's home, so that the control socket's path fits; removed after the test."""
    with tempfile.TemporaryDirectory(prefix="zmqc-", ignore_cleanup_errors=True) as folder:
        yield Path(folder) / "home"
