"""`zmqchat bench`: speed as a ratio against plain pyzmq in the same run."""

from zmqchat.cli.bench.command import run as run
