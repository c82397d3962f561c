"""`zmqchat demo`: five nodes meet, crash, part and agree."""

from zmqchat.cli.demo.command import run as run
