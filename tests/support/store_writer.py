"""A process that writes batches until it is killed: `python -m tests.support.store_writer FOLDER FIRST`.

Prints the number of each batch, a line each, once the store has told that it is durable.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from tests.support.stores import batch, open_here, writes_of
from zmqchat.store.store import StoreOutcome

IN_FLIGHT = 16


def main() -> None:
    """Write, keeping some in flight, so that a kill hits groups of several."""
    free = threading.Semaphore(IN_FLIGHT)

    def told(outcomes: Sequence[tuple[int, StoreOutcome]]) -> None:
        lines = b"".join(b"%d\n" % token for token, outcome in outcomes if outcome.ok)
        os.write(1, lines)
        for _ in outcomes:
            free.release()

    store = open_here(Path(sys.argv[1]), told, map_bytes=256 * 1024)
    number = int(sys.argv[2])
    while True:
        free.acquire()
        # Sizes from a leaf's to many pages', so that the map grows and pages are freed on the way.
        store.submit(number, writes_of(batch(number, number + 1, body_bytes=number * 7919 % 30_000), number + 1))
        number += 1


if __name__ == "__main__":
    main()
