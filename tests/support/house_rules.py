"""The house rules: each takes one file and says what is against the house, and what to do instead."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final

from tests.support.sources import Source

FILE_LINES_MAX: Final = 500
FUNCTION_LINES_MAX: Final = 70
REASON_CHARACTERS_MIN: Final = 8

_Function = ast.FunctionDef | ast.AsyncFunctionDef

BANNED_CALLS: Final = {
    "asyncio.get_event_loop": "asyncio.get_running_loop()",
    "os.system": "subprocess.run([...])",
    "os.popen": "subprocess.run([...])",
    "pickle.loads": "zmqchat.wire: pickle runs what it reads",
    "pickle.load": "zmqchat.wire: pickle runs what it reads",
    "yaml.load": "yaml.safe_load",
    "tempfile.mktemp": "tempfile.mkdtemp",
    "datetime.utcnow": "datetime.now(timezone.utc)",
    "eval": "a parser",
    "exec": "a function",
}
WALL_CLOCK: Final = {"time.time", "time.time_ns"}
WALL_CLOCK_FOLDERS: Final = {"node", "cli"}
PRINTING: Final = ("zmqchat/cli/", "zmqchat/sync")
BAD_NAMES: Final = {"utils", "util", "helpers", "helper", "misc", "common", "stuff", "tools"}
_TASK_MAKERS: Final = {"create_task", "ensure_future"}

_IGNORE = re.compile(r"#\s*(noqa(?::\s*[A-Z0-9, ]+)?|type:\s*ignore(?:\[[^\]]*\])?|pragma:\s*no cover)(.*)")
_UNFINISHED = re.compile(r"#.*\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")


def house_faults(source: Source) -> list[str]:
    """All that this file does against the rules that hold everywhere."""
    faults = [*_length(source), *_names(source), *_calls(source), *_handlers(source), *_reasons(source)]
    return [f"{source.path}:{line}: {text}" for line, text in sorted(faults)]


def missing_docstrings(source: Source) -> list[str]:
    """Public modules, classes, functions and methods of zmqchat/ that have no docstring."""
    found = [(1, "the module")] if not ast.get_docstring(source.tree) else []
    found += [(node.lineno, name) for name, node in _public(source.tree.body, "") if not ast.get_docstring(node)]
    return [f"{source.path}:{line}: {name} has no docstring: one line of contract" for line, name in found]


def missing_test_docstrings(source: Source) -> list[str]:
    """Test functions without a docstring of one sentence."""
    faults = [] if ast.get_docstring(source.tree) else [f"{source.path}:1: the module has no docstring"]
    for node in ast.walk(source.tree):
        if isinstance(node, _Function) and node.name.startswith("test_"):
            text = ast.get_docstring(node) or ""
            if not text.rstrip().endswith((".", "!", "?")):
                faults.append(f"{source.path}:{node.lineno}: {node.name} needs a docstring of one sentence")
    return faults


def unexplained_sleeps(source: Source) -> list[str]:
    """Sleeps in a test, other than between two looks at a condition, without a comment that says what for."""
    faults = []
    looks = {id(call) for loop in ast.walk(source.tree) if isinstance(loop, ast.While) for call in _directly(loop)}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and _dotted(node.func) in {"time.sleep", "asyncio.sleep"}:
            zero = bool(node.args) and isinstance(node.args[0], ast.Constant) and node.args[0].value == 0
            around = source.lines[max(0, node.lineno - 2) : node.lineno]
            if id(node) not in looks and not zero and not any("#" in line for line in around):
                faults.append(f"{source.path}:{node.lineno}: waits for time: wait for a condition, or say why not")
    return faults


def _length(source: Source) -> Iterator[tuple[int, str]]:
    count = len(source.lines)
    if count > FILE_LINES_MAX:
        yield 1, f"{count} lines: split it by responsibility (at most {FILE_LINES_MAX})"
    for node in ast.walk(source.tree):
        if isinstance(node, _Function):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                yield node.lineno, f"{node.name} has {length} lines (at most {FUNCTION_LINES_MAX})"


def _names(source: Source) -> Iterator[tuple[int, str]]:
    for part in source.parts:
        if part.removeprefix("test_") in BAD_NAMES:
            yield 1, f"{part} names no responsibility"


def _calls(source: Source) -> Iterator[tuple[int, str]]:
    in_package = source.path.startswith("zmqchat/")
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            maker = _dotted(node.value.func).rpartition(".")[2]
            if maker in _TASK_MAKERS:
                yield node.lineno, f"{maker} dropped: the loop keeps only a weak reference; keep the task and await it"
        if not isinstance(node, ast.Call):
            continue
        name = _dotted(node.func)
        if name in BANNED_CALLS:
            yield node.lineno, f"{name} is banned: use {BANNED_CALLS[name]}"
        if in_package and name in WALL_CLOCK and source.parts[1] not in WALL_CLOCK_FOLDERS:
            yield node.lineno, f"{name} jumps: use time.monotonic(), or take wall time as an argument"
        if in_package and name == "print" and not source.path.startswith(PRINTING):
            yield node.lineno, "print belongs to cli/: use logging, or tell the face"


def _handlers(source: Source) -> Iterator[tuple[int, str]]:
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        if node.type is None:
            yield node.lineno, "bare except eats cancellation: name what you expect"
        elif "BaseException" in ast.dump(node.type) and not _passes_on(node):
            yield node.lineno, "except BaseException eats cancellation: raise again, hand the error on, or name it"


def _passes_on(handler: ast.ExceptHandler) -> bool:
    """Whether the handler raises, or gives the exception to somebody."""
    inside = [node for statement in handler.body for node in ast.walk(statement)]
    return any(
        isinstance(node, ast.Raise) or (isinstance(node, ast.Name) and node.id == handler.name) for node in inside
    )


def _reasons(source: Source) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(source.lines, start=1):
        ignore = _IGNORE.search(line)
        if ignore and not _is_inside_string(line, ignore.start()):
            reason = ignore.group(2).strip(" #-:–")
            if len(reason) < REASON_CHARACTERS_MIN:
                yield number, f"`{ignore.group(1)}` without a reason beside it"
        if _UNFINISHED.search(line):
            yield number, "a note of unfinished work: finish it, or file an issue"


def _directly(loop: ast.While) -> Iterator[ast.AST]:
    """What a loop repeats itself, without what loops inside of it repeat."""
    waiting: list[ast.AST] = [*loop.body]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.For | ast.AsyncFor | ast.While):
            waiting += ast.iter_child_nodes(node)


def _is_inside_string(line: str, position: int) -> bool:
    before = line[:position]
    return before.count('"') % 2 == 1 or before.count("'") % 2 == 1 or before.count("`") % 2 == 1


def _public(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, _Function | ast.ClassDef]]:
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield prefix + node.name, node
            yield from _public(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, _Function) and not node.name.startswith("_") and not _needs_none(node):
            yield prefix + node.name, node


def _needs_none(node: _Function) -> bool:
    """Overloads and setters are told of where the function itself is."""
    names = {_dotted(decorator).rpartition(".")[2] for decorator in node.decorator_list}
    return bool(names & {"overload", "setter", "override"})


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        left = _dotted(node.value)
        return f"{left}.{node.attr}" if left else node.attr
    return ""
