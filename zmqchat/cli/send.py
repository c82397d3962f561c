"""`send`: one text, or each line of standard input as it comes.

Lines go out on a thread of their own while this one prints what has got where `--until` wants it. A bounded number
is on its way at a time, so an endless input costs no memory, here or at the node.

What goes wrong with line after line in one way, as on a full disk, is told once, and at the end for how many.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Iterator

import click

from zmqchat.cli import output
from zmqchat.cli.client import ControlClient, Disconnected, Fields, Refused
from zmqchat.cli.notices import NoticeWatch
from zmqchat.cli.options import StartOptions
from zmqchat.cli.session import LEAVES_LATER, open_session
from zmqchat.cli.stdin_lines import input_lines, standard_input
from zmqchat.model.errors import GOES_ON, BadText, DeliveryTimeout, MessageTooLarge, UsageError, ZmqChatError
from zmqchat.model.ids import room_name_checked
from zmqchat.model.limits import CONTROL_SEND_WINDOW_EVENTS, TEXT_BYTES_MAX

LINGER_S = 5.0


@click.command()
@click.argument("room")
@click.argument("text")
@click.option(
    "--until",
    type=click.Choice(["stored", "held", "delivered", "read"]),
    default="stored",
    show_default=True,
    help="Wait until it is on this disk, on another node's, on that of every member who is there, or read by them.",
)
@click.option(
    "--timeout", type=click.FloatRange(min=0), metavar="S", help="Seconds for each message; then exit code 3."
)
@click.option(
    "--linger",
    type=click.FloatRange(min=0, max=3600),
    default=LINGER_S,
    show_default=True,
    metavar="S",
    help="Where no node runs: seconds to wait at the end until another node holds what was sent.",
)
@click.option("--json", "as_json", is_flag=True, help="Print each message's record.")
@click.pass_obj
def send(
    options: StartOptions, room: str, text: str, until: str, timeout: float | None, linger: float, as_json: bool
) -> int:
    """Send TEXT to ROOM and print its id; with - as TEXT each line of standard input is a message.

    What timed out stays sent.
    """
    room_name_checked(room)
    texts: Iterator[str | ZmqChatError]
    if text == "-":
        texts = standard_input_texts()
    else:
        whole = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        error = fault_of(whole)
        if error is not None:
            raise error
        texts = iter([whole])
    with open_session(options) as session:
        sender = Sender(session.client, room, until, timeout, as_json, leaves=session.is_local)
        try:
            try:
                with NoticeWatch(session, output.note):
                    code = sender.run(texts)
            finally:
                sender.tell_counts()
            if sender.was_stored:
                session.linger(0.0 if sender.timed_out else linger, sender.late)
        except KeyboardInterrupt:
            output.end_echo()
            sender.tell_interrupted()
            session.leave_at_once()
            return output.INTERRUPTED
    return code


class Sender:
    """Sends texts through one request and prints what becomes of them.

    was_stored  something has become durable at the node
    timed_out   something has not got in time where it should
    late        where the node leaves with this command: what is still to be told of such messages
    on_way      messages that are durable at the node and not yet where they should get
    """

    def __init__(
        self, client: ControlClient, room: str, until: str, timeout_s: float | None, as_json: bool, *, leaves: bool
    ) -> None:
        self._client = client
        self._as_json = as_json
        self._fields: Fields = {"room": room, "until": until, "brief": not as_json, "progress": True}
        if timeout_s is not None:
            self._fields["timeout"] = timeout_s
        self._request = ""
        self._has_failed = False
        self._window = threading.Semaphore(CONTROL_SEND_WINDOW_EVENTS)
        self.was_stored = False
        self.timed_out = False
        self.on_way = 0
        self._leaves = leaves
        self.late: str | None = None
        self._told = ""
        self._unsent = 0
        self._late_count = 0

    def run(self, texts: Iterator[str | ZmqChatError]) -> int:
        """Send all; returns the exit code. Raises Refused where the node refuses the whole, or Disconnected."""
        self._request = self._client.begin("send", **self._fields)
        feeder = threading.Thread(target=self._feed, args=(texts,), name="zmqchat lines", daemon=True)
        while True:
            answer = self._client.read()
            if answer.get("id") != self._request:
                continue
            if isinstance(answer.get("error"), dict):
                raise Refused(str(answer["error"].get("kind")), str(answer["error"].get("text")))
            if "done" in answer:
                break
            item = answer.get("item", {})
            if item.get("ready"):
                feeder.start()
            elif "stored" in item:
                self.on_way += int(item["stored"])
            else:
                self._answered(item)
        if self._has_failed:
            return output.FAILED
        return output.TIMED_OUT if self.timed_out else output.DONE

    def _answered(self, item: Fields) -> None:
        self._window.release()
        error, record = item.get("error"), item.get("record")
        if isinstance(record, dict):
            self.was_stored = True
            self.on_way = max(0, self.on_way - 1)
            if self._as_json:
                output.print_json(record)
            else:
                output.print_line(str(record.get("id")))
        elif isinstance(error, dict):
            refused = Refused(str(error.get("kind")), str(error.get("text")))
            if issubclass(refused.original, DeliveryTimeout):
                self.was_stored = self.timed_out = True
                self.on_way = max(0, self.on_way - 1)
                self._late_count += 1
                self._tell_late(str(refused))
            else:
                self._has_failed = True
                self._unsent += 1
                self._tell_once(str(refused))

    def _tell_once(self, text: str) -> None:
        """Tell what went wrong unless it is what was told last."""
        if text != self._told:
            self._told = text
            output.note(text)

    def _tell_late(self, text: str) -> None:
        """What comes next is known at the end only, where the node leaves with this command."""
        if not self._leaves:
            self._tell_once(text)
            return
        text = text.removesuffix(f"; {GOES_ON}")
        if self.late is not None and self.late != text:
            output.note(self.late)
        self.late = text

    def tell_counts(self) -> None:
        """Of how many lines an error was told, where of more than one."""
        if self._unsent > 1:
            output.note(f"{self._unsent:,} lines were not sent")
        if self._late_count > 1:
            output.note(f"{self._late_count:,} messages were not {self._fields['until']} in time")

    def tell_interrupted(self) -> None:
        """After Ctrl-C: what is not where it should get, or not known to be anywhere else, stays sent."""
        further = LEAVES_LATER if self._leaves else GOES_ON
        if self.on_way:
            what = "the message is" if self.on_way == 1 else f"{self.on_way:,} messages are"
            output.note(f"interrupted: {what} stored here, but not known to be {self._fields['until']}; {further}")
        elif self._leaves and self.was_stored:
            output.note(f"{self.late or 'interrupted: stored here'}; {further}")

    def _feed(self, texts: Iterator[str | ZmqChatError]) -> None:
        """Write the lines; on a thread of its own, as the node may not read for a while."""
        prefix = secrets.token_hex(8)
        try:
            for number, text in enumerate(texts, start=1):
                if isinstance(text, ZmqChatError):
                    self._has_failed = True
                    output.note(f"line left out: {text}")
                    continue
                self._window.acquire()
                self._client.write(
                    {"id": self._request, "op": "line", "n": number, "key": f"{prefix}-{number}", "text": text}
                )
        except Disconnected:
            return  # the reading side sees the same, and tells it
        except (OSError, ValueError) as error:
            self._has_failed = True
            output.note(f"the input can't be read any further ({error}): what came before is sent")
        finally:  # without an end the node would wait for more, and this command for the node
            with contextlib.suppress(Disconnected):
                self._client.write({"id": self._request, "op": "end"})


def standard_input_texts() -> Iterator[str | ZmqChatError]:
    """Each line of standard input as soon as it is there, an error in place of one that no message can hold."""
    for line in input_lines(standard_input()):
        yield MessageTooLarge(line.size_bytes, TEXT_BYTES_MAX) if line.text is None else line.text


def fault_of(text: str) -> UsageError | None:
    """Why no message can be this text; None where one can."""
    if not text:
        return BadText("a message can't be empty: write something, or - to send the lines of standard input")
    size = len(text.encode("utf-8", "replace"))
    return MessageTooLarge(size, TEXT_BYTES_MAX) if size > TEXT_BYTES_MAX else None
