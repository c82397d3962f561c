"""Settings of a node: what its caller said, then what `config.toml` in its home says, then what goes without saying."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from zmqchat.model.addresses import Address, parse_address
from zmqchat.model.config import Config
from zmqchat.node.home import HomeConfig

DEFAULT_MESH: Final = "zmqchat"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is wanted of a node; None and empty where nothing was said."""

    config: Config
    name: str | None = None
    home: Path | None = None
    mesh: str | None = None
    listen: str | None = None
    peers: tuple[Address, ...] = ()
    discovery: bool | None = None
    interfaces: tuple[str, ...] = ()

    def completed(self, file: HomeConfig) -> Settings:
        """Nothing left open but the name: the file fills what was not said, and adds its peers to those that were."""
        discovery = file.discovery if self.discovery is None else self.discovery
        return replace(
            self,
            name=self.name or file.name,
            mesh=self.mesh or file.mesh or DEFAULT_MESH,
            listen=self.listen or file.listen,
            peers=tuple(dict.fromkeys((*self.peers, *map(parse_address, file.peers)))),
            discovery=discovery is not False,
            interfaces=self.interfaces or file.interfaces,
        )

    def told(self) -> dict[str, object]:
        """What commands that come later with other options may compare with."""
        return {
            "mesh": self.mesh,
            "listen": self.listen,
            "interfaces": list(self.interfaces),
            "discovery": self.discovery,
        }
