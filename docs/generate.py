"""Writes the generated parts of the reference from the code: run it after a change, a test finds them stale.

A part stands between `<!-- generated: NAME -->` and `<!-- end -->` in a page under docs/reference/.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import ModuleType

import click

import zmqchat
import zmqchat.sync
from zmqchat.model import errors, limits
from zmqchat.model.config import Config

REFERENCE = Path(__file__).resolve().parent / "reference"
_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def refreshed(text: str) -> str:
    """The page with its generated parts as the code has them now."""
    return _PART.sub(lambda part: f"{part[1]}\n{PARTS[part[2]]().strip()}\n\n{part[3]}", text)


def limits_tables() -> str:
    """Every bound of model/limits.py: a table for each of its sections."""
    source = inspect.getsource(limits)
    sections = [(0, "")] + [
        (number, line.strip("# -")) for number, line in enumerate(source.splitlines(), 1) if line.startswith("# ")
    ]
    rows: dict[str, list[str]] = {}
    body = ast.parse(source).body
    for node, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
            section = _one_line(max(entry for entry in sections if entry[0] < node.lineno)[1])
            why = ""
            if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
                why = _one_line(str(following.value.value))
            if why:
                rows.setdefault(section, []).append(f"| `{name}` | {getattr(limits, name):,} | {why} |")
    tables = []
    for section, lines in rows.items():
        tables.append("\n".join([f"## {section}", "", "| limit | value | why |", "| --- | ---: | --- |", *lines]))
    return "\n\n".join(tables)


def errors_table() -> str:
    """The tree of errors with what each means."""
    lines = ["| error | is a | means |", "| --- | --- | --- |"]
    for kind, depth in _tree(errors.ZmqChatError, 0):
        parents = ", ".join(f"`{base.__name__}`" for base in kind.__bases__)
        indent = "&nbsp;&nbsp;" * depth
        lines.append(f"| {indent}`{kind.__name__}` | {parents} | {_one_line((kind.__doc__ or '').split(chr(10))[0])} |")
    return "\n".join(lines)


def config_table() -> str:
    """The fields of Config, in seconds unless the name says otherwise."""
    meanings = dict(re.findall(r"^    (\w+)  +(\S.*)$", inspect.getdoc(Config) or "", re.MULTILINE))
    meanings |= dict(re.findall(r"^(\w+)  +(\S.*)$", inspect.getdoc(Config) or "", re.MULTILINE))
    lines = ["| field | default | meaning |", "| --- | ---: | --- |"]
    for field in fields(Config):
        default = field.default if isinstance(field.default, bool) else f"{field.default:g}"
        lines.append(f"| `{field.name}` | {default} | {_one_line(meanings[field.name])} |")
    return "\n".join(lines)


def api_list() -> str:
    """Every public name of zmqchat and zmqchat.sync, with its calls and its contract."""
    parts = []
    for module in (zmqchat, zmqchat.sync):
        parts.append(f"## {module.__name__}")
        for name in _public(module):
            value = getattr(module, name)
            if value is Config:
                parts.append("### Config\n\nWhen things happen: [timings](config.md).")
                continue
            if inspect.isclass(value) and not issubclass(value, BaseException):
                parts.append(f"### {name}\n\n{_contract(value)}")
                members = [f"- {line}" for line in _members(value, _inside(value))]
                if members:
                    parts.append("\n".join(members))
            elif inspect.isfunction(value):
                parts.append(f"### {name}\n\n`{name}{_signature(value)}` — {_contract(value)}")
    return "\n\n".join(parts)


def commands() -> str:
    """The command line: the options of `zmqchat` and of each command, as its help says."""
    from zmqchat.cli.main import cli

    parts = [_command_help(cli, "zmqchat")]
    assert isinstance(cli, click.Group)
    context = click.Context(cli, info_name="zmqchat")
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        if command is not None and not command.hidden:
            parts.append(_command_help(command, f"zmqchat {name}"))
    return "\n\n".join(parts)


PARTS: dict[str, Callable[[], str]] = {
    "limits": limits_tables,
    "errors": errors_table,
    "config": config_table,
    "api": api_list,
    "commands": commands,
}


def _public(module: ModuleType) -> list[str]:
    """What the module lists, or the classes that it defines."""
    listed = getattr(module, "__all__", None)
    own = (name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__)
    return sorted(listed or (name for name in own if not name.startswith("_") and name[0].isupper()))


def _tree(kind: type[BaseException], depth: int) -> Iterator[tuple[type[BaseException], int]]:
    yield kind, depth
    for child in sorted(kind.__subclasses__(), key=lambda each: each.__name__):
        if child.__module__ == errors.__name__:
            yield from _tree(child, depth + 1)


def _inside(kind: type) -> set[str]:
    """What messages, cursors and the control server ask of a room, and its blocking form lacks: no promise."""
    return set(dir(kind)) - set(dir(zmqchat.sync.Room)) if kind is zmqchat.Room else set()


def _members(kind: type, inside: set[str]) -> Iterator[str]:
    plain = [field.name for field in fields(kind)] if is_dataclass(kind) else getattr(kind, "_fields", ())
    if plain:
        yield "fields: " + ", ".join(f"`{name}`" for name in plain)
    for name, value in vars(kind).items():
        if name.startswith("_") or name in inside:
            continue
        if inspect.isfunction(value):
            awaited = "await " if inspect.iscoroutinefunction(value) else ""
            yield f"`{awaited}{name}{_signature(value)}` — {_first_line(value)}"
        elif isinstance(value, property):
            yield f"`{name}` — {_first_line(value)}"


def _signature(function: Callable[..., object]) -> str:
    signature = inspect.signature(function)
    kept = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for name, parameter in signature.parameters.items()
        if name != "self"
    ]
    return str(signature.replace(parameters=kept, return_annotation=inspect.Signature.empty))


def _command_help(command: click.Command, name: str) -> str:
    """From the declarations and not from `--help`, whose layout differs between versions of click."""
    arguments = " ".join(_argument(item) for item in command.params if isinstance(item, click.Argument))
    options = [item for item in command.params if isinstance(item, click.Option) and not item.hidden]
    parts = [f"## {name}", f"`{name} {arguments}`" if arguments else f"`{name}`", inspect.cleandoc(command.help or "")]
    if options:
        rows = [f"| {_option(item)} | {_one_line(item.help or '')} |" for item in options]
        parts.append("\n".join(["| option | meaning |", "| --- | --- |", *rows]))
    return "\n\n".join(parts)


def _argument(item: click.Argument) -> str:
    shown = item.metavar or (item.name or "").upper()
    shown += "…" if item.nargs == -1 else ""
    return shown if item.required or shown.startswith("[") else f"[{shown}]"


def _option(item: click.Option) -> str:
    value = ""
    if not item.is_flag and not item.count:
        value = item.metavar or ("\\|".join(map(str, getattr(item.type, "choices", ()))) or item.type.name.upper())
    return f"`{', '.join(item.opts)}{' ' if value else ''}{value}`"


def _first_line(value: object) -> str:
    return _one_line((inspect.getdoc(value) or "").split("\n\n")[0])


def _contract(value: object) -> str:
    """The docstring; a part that is set in columns is kept as it stands."""
    parts = (inspect.getdoc(value) or "").split("\n\n")
    return "\n\n".join(f"```text\n{part}\n```" if "   " in part else part for part in parts)


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> None:
    """Refresh every page of the reference in place."""
    for path in sorted(REFERENCE.glob("*.md")):
        old = path.read_text(encoding="utf-8")
        new = refreshed(old)
        if new != old:
            path.write_text(new, encoding="utf-8")
            print(f"refreshed {path.name}")


if __name__ == "__main__":
    main()
