"""All scenarios by name."""

from __future__ import annotations

from typing import Final

from zmqchat.sim.scenarios.chat import Chat
from zmqchat.sim.scenarios.scenario import Scenario

SCENARIOS: Final[dict[str, type[Scenario]]] = {
    "chat": Chat,
}
