"""Read a whole store read-only: `python -m zmqchat.store.scan FOLDER`; run as a child, as a damaged map may kill it."""

from __future__ import annotations

import sys
from pathlib import Path

import lmdb

from zmqchat.store.checks import DATA_FILE


def scan(folder: Path) -> int:
    """How many rows all databases have; raises lmdb.Error where a page can't be read."""
    environment = lmdb.open(str(folder), readonly=True, lock=False, max_dbs=16, map_size=_map_bytes(folder))
    rows = 0
    try:
        with environment.begin() as transaction:
            names = [bytes(key) for key, _ in transaction.cursor()]
            for name in names:
                database = environment.open_db(name, txn=transaction, create=False)
                rows += sum(1 for _ in transaction.cursor(db=database))
    finally:
        environment.close()
    return rows


def _map_bytes(folder: Path) -> int:
    return max(1024 * 1024, 2 * (folder / DATA_FILE).stat().st_size)


if __name__ == "__main__":
    scan(Path(sys.argv[1]))
