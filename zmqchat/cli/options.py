"""The options before the command: which node it is. What the command line leaves open the home's config file says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zmqchat.model.addresses import parse_address
from zmqchat.node.home import read_config, resolve_home

DEFAULT_MESH = "zmqchat"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOptions:
    """What the command line says; None and empty where it says nothing."""

    home: str | None = None
    name: str | None = None
    mesh: str | None = None
    listen: str | None = None
    interfaces: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()
    discovery: bool | None = None

    @property
    def folder(self) -> Path:
        """The home's folder."""
        return resolve_home(self.home, None)

    def check(self) -> None:
        """Raise UsageError for what can't be right, before anything is opened."""
        for peer in self.peers:
            parse_address(peer)

    def resolved(self) -> ResolvedOptions:
        """With what the home's config file adds; addresses of peers come from both. Raises BadConfig."""
        config = read_config(self.folder)
        discovery = self.discovery if self.discovery is not None else config.discovery
        return ResolvedOptions(
            folder=self.folder,
            name=self.name or config.name,
            mesh=self.mesh or config.mesh or DEFAULT_MESH,
            listen=self.listen or config.listen,
            interfaces=self.interfaces or config.interfaces,
            peers=tuple(dict.fromkeys((*self.peers, *config.peers))),
            discovery=True if discovery is None else discovery,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedOptions:
    """What a node is started with."""

    folder: Path
    name: str | None
    mesh: str
    listen: str | None
    interfaces: tuple[str, ...]
    peers: tuple[str, ...]
    discovery: bool
