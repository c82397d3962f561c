"""The options before the command: which node it is. What they leave open its config file says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zmqchat.model.addresses import parse_address, parse_listen
from zmqchat.model.errors import BadName
from zmqchat.model.text import clean_name
from zmqchat.node.settings import DEFAULT_MESH


@dataclass(frozen=True, slots=True, kw_only=True)
class StartOptions:
    """Which node, and how to start it where none runs; None and empty where nothing was said."""

    home: Path
    name: str | None = None
    mesh: str | None = None
    listen: str | None = None
    interfaces: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()
    no_discovery: bool = False

    def check(self) -> None:
        """Raise UsageError for what can't be right, before anything is opened."""
        if self.name is not None and not clean_name(self.name, ""):
            raise BadName(self.name)
        for peer in self.peers:
            parse_address(peer)
        parse_listen(self.listen)

    def disagreements(self, name: object, settings: Mapping[str, Any] | None) -> list[str]:
        """The options given here that the running node was not started with, as they were typed."""
        running = settings or {}
        found = []
        if self.name is not None and clean_name(self.name, "") != name:
            found.append(f"--name {self.name}")
        if self.mesh is not None and self.mesh != running.get("mesh", DEFAULT_MESH):
            found.append(f"--mesh {self.mesh}")
        if self.listen is not None and self.listen != running.get("listen"):
            found.append(f"--listen {self.listen}")
        if self.interfaces and list(self.interfaces) != running.get("interfaces"):
            found += [f"--interface {interface}" for interface in self.interfaces]
        if self.no_discovery and running.get("discovery", True):
            found.append("--no-discovery")
        return found
