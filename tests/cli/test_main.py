"""The table of commands: quick help, light imports, one-line errors and their exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tests.support.commands import environment, run_command, running_node
from zmqchat.cli.main import COMMANDS, cli, run

HEAVY = ("zmq", "zeroconf", "lmdb", "nacl", "prompt_toolkit", "rich", "msgpack")


def _modules_after(arguments: list[str]) -> set[str]:
    """The heavy modules that a command line has imported when it ends."""
    code = (
        "import sys, json\nfrom zmqchat.cli.main import run\ncode = run(json.loads(sys.argv[1]))\n"
        f"print(json.dumps([code, [m for m in {HEAVY!r} if m in sys.modules]]), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(arguments)],
        capture_output=True,
        text=True,
        env=environment(),
        check=True,
        timeout=60,
    )
    exit_code, modules = json.loads(done.stderr.splitlines()[-1])
    assert exit_code == 0, done.stderr
    return set(modules)


def test_help_imports_nothing_heavy() -> None:
    """`--help` needs click and the table alone."""
    assert _modules_after(["--help"]) == set()
    assert _modules_after(["send", "--help"]) == set()


def test_commands_to_a_running_node_import_nothing_heavy(home: Path) -> None:
    """`send` and `tail` to a running node are control clients and no more."""
    with running_node(home):
        assert _modules_after(["--home", str(home), "send", "lobby", "hello"]) == set()
        assert _modules_after(["--home", str(home), "tail", "lobby", "--no-follow"]) == set()


def test_help_is_quick() -> None:
    """The best of five runs takes less than 150 ms beyond the bare interpreter; of a processor, which may be busy."""
    resource = pytest.importorskip("resource")

    def used_s() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return float(used.ru_utime + used.ru_stime)

    def best_s(*command: str) -> float:
        times = []
        for _ in range(5):
            begin_s = used_s()
            subprocess.run([sys.executable, *command], stdout=subprocess.DEVNULL, env=environment(), check=True)
            times.append(used_s() - begin_s)
        return min(times)

    assert best_s("-m", "zmqchat", "--help") - best_s("-c", "pass") < 0.15


def test_the_help_lists_every_command() -> None:
    """Each command of the table stands in the help with its line."""
    context = click.Context(cli, info_name="zmqchat")
    text = cli.get_help(context)
    for name, (_place, line) in COMMANDS.items():
        assert name in text
        assert line in text


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nope"], 2, "No such command"),
        (["send"], 2, "Missing argument"),
        (["send", "--peer", "x", "lobby", "hi"], 2, "--peer stands before the command"),
        (["--peer", "nope", "rooms"], 2, "is no address"),
        (["--name", "\u200b", "rooms"], 2, "can't be a name"),
        (["send", "lobby", ""], 2, "can't be empty"),
        (["send", "lobby", "x" * 65_537], 1, "65,536"),
        (["tail", " "], 2, "can't name a room"),
        (["tail", "lobby", "--last", "-1"], 2, "--last"),
        (["send", "lobby", "hi", "--until", "never"], 2, "--until"),
    ],
)
def test_wrong_usage_is_one_line(
    arguments: list[str], code: int, words: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is wrong with a command line is told in one line, before a node is started."""
    assert run(["--home", str(home), *arguments]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert words in printed.err
    assert printed.err.count("\n") == 1
    assert not home.exists()


def test_a_home_that_cannot_be_used_is_one_line(home: Path) -> None:
    """A file in place of the home, and a broken config file: exit 1, one line, nothing overwritten."""
    home.write_text("mine")
    done = run_command(home, "rooms")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert home.read_text() == "mine"
    home.unlink()
    home.mkdir()
    (home / "config.toml").write_text("nick = 1")
    done = run_command(home, "rooms")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "config.toml" in done.stderr


def test_python_m_zmqchat_is_the_command_line() -> None:
    """The module runs as the script does, under any locale."""
    done = subprocess.run(
        [sys.executable, "-m", "zmqchat", "--version"],
        capture_output=True,
        text=True,
        env={**environment(), "LANG": "C", "LC_ALL": "C"},
        check=True,
    )
    assert done.stdout.startswith("zmqchat 0.")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_no_core_dump_is_left_behind() -> None:
    """A crash must not write the secret key into a file."""
    code = (
        "import atexit, resource, sys\n"
        "atexit.register(lambda: print(resource.getrlimit(resource.RLIMIT_CORE)[0]))\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)\n"
        "sys.argv = ['zmqchat', '--version']\n"
        "from zmqchat.cli.main import main\nmain()"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "0"
