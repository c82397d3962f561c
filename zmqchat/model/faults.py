"""A peer's fault as data: a reason, what it costs the peer, and a word for the log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SCORE_FLOOR: Final = -100
"""A peer whose score falls to this is disconnected for penalty_max_s; scores recover by 10 a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What a peer did wrong.

    reason   a short fixed word: "malformed", "signature", "identity", "limit", "flood", …
    detail   for the log, at most 200 characters, never raw bytes of the peer's
    score    what it costs, negative; 0 where no blame lies with the peer
    """

    reason: str
    detail: str = ""
    score: int = -20
