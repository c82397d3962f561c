"""Noticing a fork without a system call: a child must not use the sockets and the store that it inherited."""

from __future__ import annotations

import os

_generation = 0


def generation() -> int:
    """A number that differs in a forked child from what it was in its parent when a node was made."""
    return _generation


def _forked() -> None:
    global _generation
    _generation += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
