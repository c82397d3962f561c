"""`chat`: the line-mode chat, a control client like any other command.

One thread follows the room and one what happens in the mesh, each over a connection of its own; the main thread reads
what is typed and asks over a third.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

import click

from zmqchat.cli import output
from zmqchat.cli.alone import AloneWatch
from zmqchat.cli.catching_up import CatchUpWatch
from zmqchat.cli.chat_follow import HISTORY_ON_ENTRY, Follower
from zmqchat.cli.client import Refused
from zmqchat.cli.options import StartOptions
from zmqchat.cli.presence import happenings
from zmqchat.cli.session import Session, open_session
from zmqchat.model.errors import ControlError, UsageError, ZmqChatError
from zmqchat.model.ids import room_name_checked

if TYPE_CHECKING:
    from zmqchat.cli.chat_view import ChatView

LOBBY = "lobby"
HISTORY_MAX = 10_000
SHOWN_WITHIN_S = 2.0
LINGER_S = 5.0

HELP = (
    "/join ROOM      go to a room, and be in it from now on",
    "/leave [ROOM]   be in a room no more",
    "/rooms          the rooms that you are in",
    "/who            who is in this room",
    "/history [N]    the last messages again",
    "/quit           leave the chat (or Ctrl-D)",
    "//text          say something that begins with /",
)


@click.command()
@click.argument("room", default=LOBBY)
@click.option("--plain", is_flag=True, help="Plain lines, without a prompt of its own.")
@click.pass_obj
def chat(options: StartOptions, room: str = LOBBY, plain: bool = False) -> int:
    """Chat in ROOM (the lobby). Type a line to say it; /help lists the rest."""
    from zmqchat.cli.chat_terminal import choose_terminal
    from zmqchat.cli.chat_view import ChatView

    room_name_checked(room)
    terminal = choose_terminal(plain)
    with open_session(options) as session, terminal.opened():
        view = ChatView(terminal.show, lambda: datetime.now().astimezone())
        status = session.status()
        view.say(f"you are {status.get('name')} ({status.get('short')}); /help lists the commands")
        running = Chat(session, view, terminal.set_room, str(status.get("id")))
        with AloneWatch(session, view.warn), CatchUpWatch(session, view.say):
            # Ctrl-C is a way to leave like any other
            with contextlib.suppress(KeyboardInterrupt):
                running.enter(room)
                running.listen()
                for line in terminal.lines():
                    if not running.take(line):
                        break
            running.leave()
        if running.failure is not None:
            output.note(running.failure)
            return output.FAILED
        if running.has_sent:
            session.linger(LINGER_S)
    return output.DONE


class Chat:
    """A running chat.

    has_sent   something was said
    failure    why the chat ended by itself
    """

    def __init__(self, session: Session, view: ChatView, set_room: Callable[[str], None], own_id: str) -> None:
        self._session = session
        self._view = view
        self._set_room = set_room
        self._own_id = own_id
        self._room = ""
        self._follower: Follower | None = None
        self._is_leaving = False
        self._commands: dict[str, Callable[[str], bool]] = {
            "join": self._join,
            "leave": self._leave,
            "rooms": self._rooms,
            "who": self._who,
            "history": self._history,
            "help": self._help,
            "quit": lambda _rest: False,
        }
        self.has_sent = False
        self.failure: str | None = None

    def enter(self, room: str) -> None:
        """Go to a room: its last messages are shown, then what arrives. Raises BadRoomName."""
        name = room_name_checked(room)
        if self._follower is not None:
            self._follower.stop()
        self._room = name
        self._set_room(name)
        self._view.room(name)
        self._follower = Follower(self._session.connect(), name, self._view, self._lost)
        self._follower.start()

    def listen(self) -> None:
        """Show who comes and goes from now on."""
        threading.Thread(target=self._listen, name="zmqchat events", daemon=True).start()

    def take(self, line: str) -> bool:
        """What was typed: a command, or something to say; False where it ends the chat."""
        try:
            if line.startswith("/") and not line.startswith("//"):
                name, _, rest = line[1:].strip().partition(" ")
                command = self._commands.get(name.lower())
                if command is None:
                    self._view.say(f"there is no /{name}: /help lists the commands")
                    return True
                return command(rest.strip())
            self._say(line[1:] if line.startswith("//") else line)
        except (UsageError, Refused) as error:
            self._view.warn(str(error))
        except ControlError as error:
            self._lost(error)
            return False
        return True

    def leave(self) -> None:
        """Stop showing; what was said just now is shown first."""
        if self._follower is not None and self.failure is None:
            self._follower.wait_until_shown(SHOWN_WITHIN_S)
        self._is_leaving = True
        if self._follower is not None:
            self._follower.stop()

    def _say(self, text: str) -> None:
        client = self._session.client
        request = client.begin("send", room=self._room, until="stored")
        for item in client.answers(request):
            if item.get("ready"):
                client.write({"id": request, "op": "line", "n": 1, "key": secrets.token_hex(16), "text": text})
                client.write({"id": request, "op": "end"})
            elif isinstance(item.get("error"), dict):
                self._view.warn(str(item["error"].get("text")))
            elif isinstance(item.get("record"), dict):
                self.has_sent = True
                if self._follower is not None:
                    self._follower.expect(str(item["record"].get("id")))

    def _join(self, rest: str) -> bool:
        if not rest:
            self._view.say("/join needs the name of a room, as in /join kitchen")
        else:
            # Asked first: whoever can't go there stays here.
            self._session.client.ask("join", room=room_name_checked(rest))
            self.enter(rest)
        return True

    def _leave(self, rest: str) -> bool:
        room = room_name_checked(rest or self._room)
        was_in = self._session.client.ask("leave", room=room).get("was_in")
        self._view.say(f"you are in {room} no more" if was_in else f"you were not in {room}")
        if room == self._room:
            left = [str(item["room"]["room"]) for item in self._session.client.items("rooms")]
            if not left:
                return False
            self.enter(LOBBY if LOBBY in left else left[0])
        return True

    def _rooms(self, _rest: str) -> bool:
        for item in self._session.client.items("rooms"):
            room = item["room"]
            here = "> " if room["room"] == self._room else "  "
            self._view.say(
                f"{here}{room['room']}: {output.counted(room['members'], 'member')}, {room['online']} here now"
            )
        return True

    def _who(self, _rest: str) -> bool:
        members = [item["member"] for item in self._session.client.items("members", room=self._room)]
        for member in sorted(members, key=lambda each: (not each["online"], str(each["name"]))):
            self._view.say(f"{self._view.name(member)}{'' if member['online'] else ' (not here now)'}")
        return True

    def _history(self, rest: str) -> bool:
        if rest and not (rest.isascii() and rest.isdigit() and 0 < int(rest[:6]) <= HISTORY_MAX):
            self._view.say(f"/history takes a number up to {HISTORY_MAX}")
            return True
        last = int(rest) if rest else HISTORY_ON_ENTRY
        self._view.room(self._room)
        for item in self._session.client.items("history", room=self._room, last=last):
            if isinstance(item.get("record"), dict):
                self._view.message(item["record"])
        return True

    def _help(self, _rest: str) -> bool:
        for line in HELP:
            self._view.say(line)
        return True

    def _listen(self) -> None:
        # the follower of the room sees, and tells, that the node is gone
        with contextlib.suppress(ZmqChatError, OSError, ValueError):
            for event in happenings(self._session):
                if self._is_leaving:
                    return
                if event.get("id") != self._own_id:
                    self._view.event(event, self._room)

    def _lost(self, error: Exception) -> None:
        """The node is gone: there is nothing more to chat with."""
        from zmqchat.cli.chat_terminal import interrupt_main_thread

        if not self._is_leaving and self.failure is None:
            self.failure = output.one_line(error)
            if threading.current_thread() is not threading.main_thread():
                interrupt_main_thread()
