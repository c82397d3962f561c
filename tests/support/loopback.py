"""Runs a program with nodes that stay on the loopback interface: `python loopback.py FILE …`.

What a page shows is run word for word; only what `Node` takes when nothing is said is changed, so that the
tests find nobody on the network that they happen to run in, and nobody finds them.
"""

from __future__ import annotations

import os
import runpy
import sys

LOOPBACK = "lo" if sys.platform.startswith("linux") else "lo0"


def stay_on_loopback() -> None:
    """Change what Node takes by default, in both its forms, to what the environment says."""
    import zmqchat
    import zmqchat.sync

    changed: dict[str, object] = {
        "mesh": os.environ["PAGE_MESH"],
        "interfaces": (LOOPBACK,),
        "discovery": os.environ.get("PAGE_DISCOVERY") == "on",
        "listen": os.environ.get("PAGE_LISTEN"),
        "peers": tuple(os.environ.get("PAGE_PEERS", "").split()),
    }
    for constructor in (zmqchat.Node.__init__, zmqchat.sync.Node.__init__):
        defaults = constructor.__kwdefaults__ or {}
        defaults.update({name: value for name, value in changed.items() if name in defaults})


if __name__ == "__main__":
    stay_on_loopback()
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
