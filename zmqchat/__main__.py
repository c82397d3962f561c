"""`python -m zmqchat` is the command line."""

from __future__ import annotations

from zmqchat.cli.main import main

if __name__ == "__main__":
    main()
