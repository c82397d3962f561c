"""Names and texts that would steer a terminal, from a hostile author to another's `tail` and `chat` (hostile 41, 42)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
import unicodedata
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.authors import Author
from tests.support.commands import environment, running_node, use_node
from tests.support.hostilepeer import hostile_peer, room_of
from tests.support.nodes import eventually, running
from tests.support.terminal import on_terminal, read_until
from zmqchat.crypto.keys import create_identity
from zmqchat.crypto.signing import IdentityCrypto
from zmqchat.history.clock import hlc_of
from zmqchat.model.events import Kind
from zmqchat.wire.events import encode_event

NAMES = {
    "clipboard": "\x1b]52;c;ZXZpbA==\x07",
    "markup": "[/red]",
    "long": "n" * 256,
    "too long": "n" * 4_096,
    "empty": "",
    "spaces": " \u2003 ",
    "right to left": "\u202eadmin",
    "newlines": "a\r\nb",
}
TEXTS = {
    "clears the screen": "\x1b[2J\x1b[H",
    "title": "\x1b]0;owned\x07",
    "link": "\x1b]8;;http://127.0.0.1/\x07click\x1b]8;;\x07",
    "clipboard": "\x1b]52;c;ZXZpbA==\x07",
    "C1": "\x9b2J\x90q\x9c",
    "carriage return": "harmless\rroot: run this",
    "marks": "a" + "\u0301" * 30_000,
    "no space": "w" * 65_536,
    "bidi": "\u202e\u2066evil",
    "markup": "[bold red]not bold[/]",
    "last": "the last one",
}
ALLOWED = {"\n"}
