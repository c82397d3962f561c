"""Text scenarios: commands at the left, what follows from them at the right; how such a file is read and written.

    # What the scenario shows, in a sentence or two.
    covers publishing fanout
    nodes  ann bob

    say ann lobby "hello" | 0ms   ann: Store writes=(ann/a[1,2) 'hello')
                          | 2ms   ann => lobby: Push ann/a[1,2) 'hello'

A line that is empty or begins with `#` is a comment. Another one is a command up to ` | `, and beside it the first
line of its trace; a line that begins with blanks and `|` goes on with the trace. A command without a trace has no
`|`. `written` puts all the `|` of a file below each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parent.parent / "scenarios"


class BadScenario(Exception):
    """A scenario can't be read or played: the line, and what is wrong with it."""


@dataclass(slots=True)
class Block:
    """A command and its trace; or a comment, whose command is empty."""

    command: str = ""
    trace: list[str] = field(default_factory=list)
    comment: str = ""


def scenario_files() -> list[Path]:
    """All scenarios, by folder and name."""
    return sorted(FOLDER.rglob("*.txt"))


def read(text: str) -> list[Block]:
    """The blocks of a scenario."""
    blocks: list[Block] = []
    for number, line in enumerate(text.splitlines(), start=1):
        left, bar, right = line.partition("|")
        if not line.strip() or line.startswith("#"):
            blocks.append(Block(comment=line.rstrip()))
        elif left.strip():
            blocks.append(Block(left.strip(), [right.strip()] if bar else []))
        elif blocks and blocks[-1].trace:
            blocks[-1].trace.append(right.strip())
        else:
            raise BadScenario(f"line {number}: a trace belongs beside a command")
    return blocks


def written(blocks: Iterable[Block]) -> str:
    """The text of a scenario, its columns below each other."""
    blocks = list(blocks)
    width = max((len(block.command) for block in blocks if block.trace), default=0)
    lines: list[str] = []
    for block in blocks:
        if not block.trace:
            lines.append(block.command or block.comment)
        for index, traced in enumerate(block.trace):
            lines.append(f"{block.command if index == 0 else '':<{width}} | {traced}".rstrip())
    return "".join(f"{line}\n" for line in lines)


def replayed(blocks: Iterable[Block], play: Callable[[str], list[str]]) -> list[Block]:
    """The same blocks, each command with the trace that it has now."""
    return [block if not block.command else Block(command=block.command, trace=play(block.command)) for block in blocks]
