"""Runs a program with nodes that stay on the loopback interface: `python loopback.py MESH DISCOVER FILE …`.

What a page shows is run word for word; only what `Node` takes when nothing is said is changed, so that the
tests find nobody on the network that they happen to run in, and nobody finds them.
"""

from __future__ import annotations

import runpy
import sys

LOOPBACK = "lo" if sys.platform.startswith("linux") else "lo0"


def stay_on_loopback(mesh: str, discover: bool) -> None:
    """Change what Node takes by default, in both its forms."""
    import zmqchat
    import zmqchat.sync

    for constructor in (zmqchat.Node.__init__, zmqchat.sync.Node.__init__):
        defaults = constructor.__kwdefaults__ or {}
        changed = {"mesh": mesh, "interfaces": (LOOPBACK,), "discovery": discover}
        defaults.update({name: value for name, value in changed.items() if name in defaults})


if __name__ == "__main__":
    mesh, discover, program, *arguments = sys.argv[1:]
    stay_on_loopback(mesh, discover == "discover")
    sys.argv = [program, *arguments]
    runpy.run_path(program, run_name="__main__")
