"""The layers as a table, and what reads a file's imports against it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from typing import Final, NamedTuple

from tests.support.sources import Source

LAYERS: Final = {
    "model": 1,
    "wire": 2,
    "history": 3,
    "protocol": 4,
    "net": 5,
    "discovery": 5,
    "store": 5,
    "crypto": 5,
    "node": 6,
    "sim": 6,
    # The package's own front: `zmqchat.Node` and `zmqchat.sync` stand on the node, below the faces.
    "sync": 7,
    "__init__": 7,
    "cli": 8,
    "__main__": 9,
}
PURE_LAYER_MAX: Final = 4
FACE_MAY_IMPORT: Final = {"model", "node", "sim", "sync", "__init__", "cli"}

HOMES: Final = {
    "msgpack": {"wire"},
    "zmq": {"net"},
    "zeroconf": {"discovery"},
    "ifaddr": {"discovery"},
    "lmdb": {"store"},
    "nacl": {"crypto"},
    "platformdirs": {"node"},
    "tomli": {"node"},
    "click": {"cli"},
    "rich": {"cli"},
    "prompt_toolkit": {"cli"},
    "wcwidth": {"cli"},
}

YARDSTICKS: Final = {
    # The bench compares with plain pyzmq and plain LMDB, whose code stands in the homes of these libraries.
    "zmqchat/cli/bench/plain.py": {"zmqchat.net.yardstick", "zmqchat.store.yardstick"},
}

PURE_STANDARD: Final = {
    "__future__", "abc", "base64", "binascii", "bisect", "collections", "contextlib", "copy", "dataclasses",
    "array", "datetime", "enum", "functools", "hashlib", "heapq", "hmac", "ipaddress", "itertools", "json", "math",
    "operator", "re", "string", "struct", "types", "typing", "unicodedata",
}  # fmt: skip
"""What layers 1 to 4 may import: nothing here reads a clock, a socket, a thread, the environment or chance."""

IMPURE_CALLS: Final = {"open", "input", "print", "eval", "exec", "__import__", "breakpoint", "Random"}
IMPURE_METHODS: Final = {"now", "utcnow", "today"}


class Import(NamedTuple):
    """One imported module, the line, and whether only a type checker sees it."""

    module: str
    line: int
    typing_only: bool


def imports(source: Source) -> list[Import]:
    """Every import of the file, those inside functions and under TYPE_CHECKING included."""
    return list(_imports(source.tree, typing_only=False))


def layer_faults(source: Source) -> list[str]:
    """What this file of zmqchat/ imports or calls against the layers: one sentence each, empty when right."""
    folder = source.parts[1]
    if folder not in LAYERS:
        return [f"{source.path}: {folder} is no layer: add it to LAYERS with its place, or move the file"]
    faults = []
    for item in imports(source):
        fault = _import_fault(source, folder, item)
        if fault:
            faults.append(f"{source.path}:{item.line}: {fault}")
    if LAYERS[folder] <= PURE_LAYER_MAX:
        faults += [f"{source.path}:{line}: {fault}" for line, fault in _impure_calls(source.tree)]
    return faults


def _import_fault(source: Source, folder: str, item: Import) -> str | None:
    top, _, rest = item.module.partition(".")
    if item.module in YARDSTICKS.get(source.path, ()):
        return None
    if top == "zmqchat":
        return _own_fault(folder, rest.split(".")[0] or "__init__")
    if top in sys.stdlib_module_names:
        if LAYERS[folder] > PURE_LAYER_MAX or item.typing_only or top in PURE_STANDARD:
            return None
        return f"{top} is impure: layers 1 to 4 take the time, chance and the outside as arguments and facts"
    if folder in HOMES.get(top, ()):
        return None
    return f"{top} lives in {' and '.join(sorted(HOMES[top]))}" if top in HOMES else f"{top} is no dependency"


def _own_fault(folder: str, target: str) -> str | None:
    if target in (folder, "__version__"):
        return None
    if target not in LAYERS:
        return f"zmqchat.{target} is in no layer"
    if folder == "cli" and target not in FACE_MAY_IMPORT:
        return f"a face reaches {target} only through zmqchat.node"
    if LAYERS[target] > LAYERS[folder]:
        return f"imports upward: {folder} is below {target}"
    if LAYERS[target] == LAYERS[folder]:
        return f"imports sideways: {folder} and {target} share a layer"
    return None


def _imports(node: ast.AST, typing_only: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, child.lineno, typing_only)
        elif isinstance(child, ast.ImportFrom):
            yield from _imported_from(child, typing_only)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            for statement in child.body:
                yield from _imports(ast.Module([statement], []), True)
            for statement in child.orelse:
                yield from _imports(ast.Module([statement], []), typing_only)
        else:
            yield from _imports(child, typing_only)


def _imported_from(node: ast.ImportFrom, typing_only: bool) -> Iterator[Import]:
    module = "." * node.level + (node.module or "")
    if module == "random" and [alias.name for alias in node.names] == ["Random"]:
        typing_only = True  # the type of an injected generator; IMPURE_CALLS keeps it from being made
    if module != "zmqchat":
        yield Import(module, node.lineno, typing_only)
        return
    for alias in node.names:  # `from zmqchat import net` is a layer, `from zmqchat import Node` the front
        known = alias.name in LAYERS or alias.name == "__version__"
        yield Import(f"zmqchat.{alias.name}" if known else "zmqchat", node.lineno, typing_only)


def _impure_calls(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS:
            yield node.lineno, f"calls {node.func.id}: layers 1 to 4 act only through effects"
        elif isinstance(node.func, ast.Attribute) and node.func.attr in IMPURE_METHODS:
            yield node.lineno, f"calls .{node.func.attr}(): the time is an argument in layers 1 to 4"
