"""Whether all ended with the same: the digest of a timeline, and what is wrong where something is."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

DIGEST_BYTES = 8
SHOWN_MAX = 3


class Timeline(NamedTuple):
    """What a store gives as history, oldest first: ids, and the texts that belong to them."""

    ids: tuple[str, ...]
    texts: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Equal for equal ids in equal order: four groups of four hexadecimal digits."""
        hashed = hashlib.blake2b("\n".join(self.ids).encode(), digest_size=DIGEST_BYTES).hexdigest()
        return "-".join(hashed[at : at + 4] for at in range(0, len(hashed), 4))


def agree(timelines: Mapping[str, Timeline]) -> bool:
    """Whether all have the same messages in the same order."""
    return len({timeline.digest for timeline in timelines.values()}) == 1


def faults(timelines: Mapping[str, Timeline], acknowledged: Mapping[str, str]) -> list[str]:
    """A line for all that should not be; none where all is well.

    timelines     by the name of the node
    acknowledged  texts by id whose send() had returned; each text of the demo is said once
    """
    found = []
    for name, timeline in timelines.items():
        present = set(timeline.ids)
        missing = [text for message, text in acknowledged.items() if message not in present]
        if missing:
            found.append(f"{name} lacks {len(missing)} of {len(acknowledged)} acknowledged messages: {_some(missing)}")
        repeated = [text for text, count in Counter(timeline.texts).items() if count > 1]
        if repeated:
            found.append(f"{name} has more than once: {_some(repeated)}")
    if not agree(timelines):
        digests = ", ".join(f"{name} {timeline.digest}" for name, timeline in timelines.items())
        found.append(f"the timelines differ: {digests}")
    return found


def _some(texts: Sequence[str]) -> str:
    shown = ", ".join(repr(text) for text in texts[:SHOWN_MAX])
    return f"{shown} and {len(texts) - SHOWN_MAX} more" if len(texts) > SHOWN_MAX else shown
