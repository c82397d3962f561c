"""The entry of the command line: its table of commands, and how every one of them ends.

Commands are looked up by name and imported when they run or are asked for help: the list of commands must not
cost the import of all that they need.
"""

from __future__ import annotations

import contextlib
import importlib
import signal
import sys
from types import FrameType
from typing import Any, Final, NoReturn

import click

import zmqchat
from zmqchat.cli import output
from zmqchat.cli.options import StartOptions
from zmqchat.model.errors import ZmqChatError
from zmqchat.node.home import resolve_home


class Stopped(KeyboardInterrupt):
    """The system asks us to end, as it does with SIGTERM and SIGHUP."""


COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "chat": ("zmqchat.cli.chat:chat", "Chat in a room; this is what zmqchat does without a command."),
    "node": ("zmqchat.cli.node:node", "Run a node without a face: relay and memory for others."),
    "send": ("zmqchat.cli.send:send", "Send a text, or each line of standard input."),
    "tail": ("zmqchat.cli.reading:tail", "Print the last messages of a room, then what arrives."),
    "history": ("zmqchat.cli.reading:history", "Print the last messages of a room, in order."),
    "join": ("zmqchat.cli.rooms:join", "Be in a room from now on."),
    "leave": ("zmqchat.cli.rooms:leave", "Be in a room no more."),
    "rooms": ("zmqchat.cli.rooms:rooms", "List the rooms that this node is in."),
    "peers": ("zmqchat.cli.people:peers", "List the other nodes in touch."),
    "mesh": ("zmqchat.cli.mesh:mesh", "Show the whole mesh as this node knows it."),
    "whoami": ("zmqchat.cli.people:whoami", "Print this node's id, name, home and address."),
    "doctor": ("zmqchat.cli.doctor:doctor", "Say what this node sees of its network, and what to do."),
    "demo": ("zmqchat.cli.demo:run", "Watch five nodes meet, crash, part and agree (40 s)."),
    "bench": ("zmqchat.cli.bench:run", "Measure speed on this machine."),
    "sim": ("zmqchat.cli.sim:run", "Play whole meshes in simulated time, with trouble, and check them."),
}
"""Command: where it is, and its line in the list."""


class CommandTable(click.Group):
    """A group whose commands are imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click calls it with this
        """All commands in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click calls it with this
        """Import a command; None where there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader that has gone (`| head`) is no failure, whatever click thinks of it."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            output.abandon_output()
            return output.DONE
        except KeyboardInterrupt:  # for which click would print an empty line
            output.end_echo()
            return output.INTERRUPTED

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click calls it with this
        """The list in the help, from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_place, line) in COMMANDS.items()])


@click.command(
    cls=CommandTable,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--home", metavar="DIR", help="Folder of this node: identity, store, settings (or ZMQCHAT_HOME).")
@click.option("--name", metavar="NICK", help="Nickname; else the stored one, else your login's.")
@click.option("--mesh", metavar="NAME", help="Only nodes of the same mesh name meet.  [default: zmqchat]")
@click.option("--listen", metavar="HOST[:PORT]", help="Address to be reached at.  [default: all, port 42100 if free]")
@click.option(
    "--interface", "interfaces", metavar="IF", multiple=True, help="Use only this network interface; repeatable."
)
@click.option("--peer", "peers", metavar="HOST:PORT", multiple=True, help="Address of another node; repeatable.")
@click.option("--no-discovery", is_flag=True, help="Find and tell nobody by multicast; still accept who calls.")
@click.version_option(zmqchat.__version__, prog_name="zmqchat", message="%(prog)s %(version)s")
@click.pass_context
def cli(
    context: click.Context,
    home: str | None,
    name: str | None,
    mesh: str | None,
    listen: str | None,
    interfaces: tuple[str, ...],
    peers: tuple[str, ...],
    no_discovery: bool,
) -> None:
    """Group chat and messaging for a local network with no server.

    Without a command: chat in the lobby. Where a node runs on the home, commands use it.
    """
    options = StartOptions(
        home=resolve_home(home, None),
        name=name,
        mesh=mesh,
        listen=listen,
        interfaces=interfaces,
        peers=peers,
        no_discovery=no_discovery,
    )
    options.check()
    context.obj = options
    if context.invoked_subcommand is None:
        command = cli.get_command(context, "chat")
        assert command is not None
        context.invoke(command)


def run(arguments: list[str] | None = None) -> int:
    """Run a command line; returns its exit code, with errors told in one line."""
    try:
        result = cli.main(args=arguments, prog_name="zmqchat", standalone_mode=False)
    except click.UsageError as error:
        output.note(_usage_text(error))
        return output.WRONG_USAGE
    except click.ClickException as error:
        output.note(error.format_message())
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return output.INTERRUPTED
    except (ZmqChatError, OSError) as error:
        output.note(output.one_line(error))
        return output.exit_code_of(error)
    return result if isinstance(result, int) else output.DONE


def forbid_core_dumps() -> None:
    """Keep the secret key out of the files that a crash leaves behind, where the system knows such limits."""
    if sys.platform != "win32":
        import resource

        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def main() -> NoReturn:
    """The `zmqchat` command."""
    forbid_core_dumps()
    output.prepare_streams()
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            with contextlib.suppress(ValueError):  # not in the main thread: whoever embeds us handles signals
                signal.signal(getattr(signal, name), _stop)
    code = run()
    try:
        sys.stdout.flush()
    except OSError:
        output.abandon_output()
    sys.exit(code)


def _usage_text(error: click.UsageError) -> str:
    command = error.ctx.command_path if error.ctx is not None else "zmqchat"
    if isinstance(error, click.NoSuchOption) and error.option_name in _start_options() and command != "zmqchat":
        return f"{error.option_name} stands before the command: zmqchat {error.option_name} … {command.split()[-1]}"
    return f"{error.format_message().rstrip('.')} (try `{command} --help`)"


def _start_options() -> set[str]:
    return {option for parameter in cli.params for option in parameter.opts}


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise Stopped
