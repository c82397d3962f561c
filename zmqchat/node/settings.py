"""Settings of a node: what its caller said, then what `config.toml` in its home says, then what goes without saying."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from zmqchat.model.addresses import Address, parse_address, parse_listen
from zmqchat.model.arguments import flag_checked, text_checked, texts_checked
from zmqchat.model.config import Config
from zmqchat.model.errors import BadName, UsageError
from zmqchat.model.text import clean_name
from zmqchat.node.home import HomeConfig, resolve_home

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

    @classmethod
    def of_caller(
        cls,
        name: str | None,
        home: str | os.PathLike[str] | None,
        mesh: str | None,
        listen: str | None,
        peers: Sequence[str],
        discovery: bool | None,
        interfaces: Sequence[str],
        config: Config | None,
    ) -> Settings:
        """What a program passed to `Node`. Raises UsageError where a value is of another type, or can't be right."""
        if name is not None:
            name_checked(name)
        if home is not None and not isinstance(home, str | os.PathLike):
            raise UsageError(f"home must be a folder's path, not {home!r}")
        if config is not None and not isinstance(config, Config):
            raise UsageError(f"config must be a Config, not {config!r}")
        parse_listen(listen)
        return cls(
            config=config or Config(),
            name=name,
            home=None if home is None else resolve_home(home, name),
            mesh=None if mesh is None else _mesh_checked(mesh),
            listen=listen,
            peers=tuple(parse_address(text) for text in texts_checked("peers", peers)),
            discovery=None if discovery is None else flag_checked("discovery", discovery),
            interfaces=texts_checked("interfaces", interfaces),
        )

    def completed(self, file: HomeConfig) -> Settings:
        """Nothing left open but the name: the file fills what was not said, and adds its peers to those that were."""
        discovery = file.discovery if self.discovery is None else self.discovery
        return replace(
            self,
            config=_with_quota(self.config, file.keeper_mib),
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


def _with_quota(config: Config, keeper_mib: float | None) -> Config:
    """The file's quota, unless the caller's Config has another than what goes without saying."""
    usual = Config()
    if keeper_mib is None or (config.keeps, config.keeper_mib) != (usual.keeps, usual.keeper_mib):
        return config
    return replace(config, keeper_mib=float(keeper_mib)) if keeper_mib else replace(config, keeps=False)


def _mesh_checked(mesh: str) -> str:
    if not text_checked("mesh", mesh):
        raise UsageError("a mesh can't be '': name one, or leave it out")  # a variable that was not set
    return mesh


def name_checked(name: str) -> str:
    """The nickname as it will be shown. Raises UsageError for what is no text, BadName where nothing can be seen."""
    cleaned = clean_name(text_checked("name", name), "")
    if not cleaned:
        raise BadName(name)
    return cleaned
