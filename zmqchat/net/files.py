"""File descriptors: how many a node may need, raising the soft limit, counting what is open.

At the limit libzmq's listener spins at full CPU, and making a socket may abort the process, so a node
that can't have what its limits allow refuses to start.
"""

from __future__ import annotations

import os
import sys
from typing import Final

from zmqchat.model.errors import FileLimit
from zmqchat.model.limits import DIALS_AT_ONCE_MAX, HALF_OPEN_MAX, PEERS_LIVE_MAX

if sys.platform != "win32":
    import resource

FILES_PER_DIAL: Final = 4
"""A dialled socket: its mailbox, both ends of its monitor, and the TCP connection."""

FILES_PER_PEER: Final = 2 * FILES_PER_DIAL + 2
"""Our direct and feed connections to a peer, and its two to us."""

FILES_BESIDE: Final = 192
"""Store, log, control socket, discovery, interpreter, and the three bound sockets with their monitors."""

FILES_RESERVE: Final = 64
"""Below so many free ones the door is shut until there are more."""

FILES_NEEDED: Final = (
    PEERS_LIVE_MAX * FILES_PER_PEER + HALF_OPEN_MAX + DIALS_AT_ONCE_MAX * FILES_PER_DIAL + FILES_BESIDE + FILES_RESERVE
)


def raise_file_limit(needed: int = FILES_NEEDED) -> int:
    """Raise the soft limit to `needed` where it is lower; returns the limit; raises FileLimit."""
    if sys.platform != "win32":  # it has no such limit on sockets
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft == resource.RLIM_INFINITY or soft >= needed:
            return needed if soft == resource.RLIM_INFINITY else soft
        if hard != resource.RLIM_INFINITY and hard < needed:
            raise FileLimit(
                f"this process may open {hard} files, a node needs {needed}: raise it with `ulimit -Hn {needed}`"
            )
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
        except (OSError, ValueError) as error:
            raise FileLimit(
                f"can't raise the limit of open files to {needed} ({error}): run `ulimit -n {needed}`"
            ) from error
    return needed


def open_files() -> int:
    """How many file descriptors this process has open; 0 where that can't be seen."""
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            return len(os.listdir(folder)) - 1
        except OSError:
            continue
    return 0
