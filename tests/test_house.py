"""The house rules, as one test file: what is banned and why, and that the tests mirror the sources."""

from __future__ import annotations

import ast
import tempfile
from pathlib import Path

import pytest

from tests.support.house_rules import (
    FILE_LINES_MAX,
    FUNCTION_LINES_MAX,
    house_faults,
    missing_docstrings,
    missing_test_docstrings,
    unexplained_sleeps,
)
from tests.support.layers import LAYERS, PURE_LAYER_MAX, imports
from tests.support.sources import REPO, Source, python_sources, text_files

ALL_CODE = ("zmqchat", "tests", "examples", "docs")

MIRRORED_FOLDERS = ("model", "wire", "history", "protocol", "net", "discovery", "store", "crypto", "node", "sim", "cli")

PURE_FOLDERS = [folder for folder, layer in LAYERS.items() if layer <= PURE_LAYER_MAX]

WITHOUT_TEST_FILE = {
    "zmqchat/protocol/facts.py": "declarations only",
    "zmqchat/protocol/effects.py": "declarations only",
    "zmqchat/protocol/data_facts.py": "declarations only",
    "zmqchat/protocol/data_effects.py": "declarations only",
    "zmqchat/protocol/roster_facts.py": "declarations only",
    "zmqchat/protocol/machine.py": "declarations only; every machine's test goes through it",
    "zmqchat/protocol/linkstate.py": "declarations only",
    "zmqchat/model/faults.py": "declarations only",
    "zmqchat/history/crypto.py": "an interface only",
    "zmqchat/sim/checks.py": "declarations only",
}

TESTS_OF_SEVERAL = {
    # A folder's tests of more than one module: the word after test_ that they may begin with.
    "contract": "one contract suite over the real part and its twin",
    "vectors": "replays tests/vectors/",
    "hostile": "the hostile inputs of a layer",
    "fuzz": "every decoder of a layer on arbitrary bytes",
    "two": "two machines or processes at a time",
    "convergence": "several machines at a time",
    "digests": "replays tests/sim/digests.json",
    "planted": "bugs planted into machines, which the simulator finds",
    "facts": "how fast the simulator is",
    "memory": "how much a simulated crowd takes",
}


def test_house_rules_hold_everywhere() -> None:
    """No banned call, bare except, unexplained ignore, over-long file or function, or nameless module."""
    faults = [fault for source in python_sources(*ALL_CODE) for fault in house_faults(source)]
    assert not faults, "\n".join(faults)


def test_every_public_name_has_a_docstring() -> None:
    """Whoever reads `help(zmqchat.…)` finds a contract at each public name."""
    faults = [fault for source in python_sources("zmqchat", "examples", "docs") for fault in missing_docstrings(source)]
    assert not faults, "\n".join(faults)


def test_every_test_says_what_it_shows() -> None:
    """Each test function has a docstring of one sentence."""
    faults = [fault for source in python_sources("tests") for fault in missing_test_docstrings(source)]
    assert not faults, "\n".join(faults)


def test_no_test_sleeps_without_a_reason() -> None:
    """Tests wait for conditions; a sleep says beside it why none can be waited for."""
    faults = [fault for source in python_sources("tests") for fault in unexplained_sleeps(source)]
    assert not faults, "\n".join(faults)


def test_tests_mirror_the_sources() -> None:
    """tests/store/test_writer.py tests zmqchat/store/writer.py; a longer name may follow the module's."""
    strays = []
    for folder in MIRRORED_FOLDERS:
        modules = {path.stem for path in (REPO / "zmqchat" / folder).rglob("*.py")} | set(TESTS_OF_SEVERAL)
        modules |= {path.parent.name for path in (REPO / "zmqchat" / folder).rglob("*/*.py")}
        for test in sorted((REPO / "tests" / folder).glob("test_*.py")):
            name = test.stem.removeprefix("test_")
            if not any(name == module or name.startswith(f"{module}_") for module in modules):
                strays.append(test.relative_to(REPO).as_posix())
    assert not strays, f"these mirror no module: {strays}"


def test_every_module_of_the_core_has_its_own_tests() -> None:
    """Layers 1 to 4 and the simulator, but what it plays, module by module, so that a failure says where to look."""
    missing = []
    for source in python_sources(*(f"zmqchat/{folder}" for folder in (*PURE_FOLDERS, "sim"))):
        folder, module = source.parts[1], source.parts[-1]
        names = [module, *(source.parts[2:-1] if folder == "sim" else ())]
        tests = [path for name in names for path in (REPO / "tests" / folder).glob(f"test_{name}*.py")]
        is_played = source.path.startswith("zmqchat/sim/scenarios/")
        if module != "__init__" and source.path not in WITHOUT_TEST_FILE and not (is_played or tests):
            missing.append(source.path)
    assert not missing, f"no tests/<folder>/test_<module>.py for {missing}"


def test_no_module_is_dead() -> None:
    """Every module of zmqchat is imported by another one, or is a way in, or a twin that tests use."""
    used: set[str] = set()
    for source in python_sources("zmqchat", "tests", "examples"):
        in_package = source.path.startswith("zmqchat/")
        for module in {item.module for item in imports(source)} | _imported_names(source):
            used.add(module if in_package else f"tests:{module}")
        used |= _quoted_modules(source) if in_package else set()
    dead = []
    for source in python_sources("zmqchat"):
        name = ".".join(source.parts).removesuffix(".__init__")
        package = any(other.startswith(f"{name}.") for other in used)
        twin = source.parts[-1] in {"memory", "twin"} and f"tests:{name}" in used
        way_in = name in {"zmqchat", "zmqchat.__main__", "zmqchat.cli.main", "zmqchat.sync", "zmqchat.sim.simulation"}
        way_in = way_in or name.endswith(".__main__")
        if name not in used and not package and not twin and not way_in:
            dead.append(source.path)
    assert not dead, f"nobody imports {dead}"


def test_no_path_of_this_machine_is_in_the_tree() -> None:
    """Nothing names the folder that the checkout happens to lie in, nor the home of who wrote it."""
    ordinary = {Path("/"), Path("/home"), Path("/root"), Path("/src"), Path("/opt"), Path(tempfile.gettempdir())}
    private = [f"{folder.as_posix()}/" for folder in (REPO.parent, Path.home()) if folder not in ordinary]
    found = []
    for path in text_files():
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [f"{path.relative_to(REPO)}: {folder}" for folder in private if folder in text]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("zmqchat/node/x.py", "asyncio.create_task(f())", "weak reference"),
        ("tests/x.py", "loop.create_task(f())", "weak reference"),
        ("zmqchat/net/x.py", "a = time.time()", "time.monotonic()"),
        ("zmqchat/store/x.py", "print('x')", "belongs to cli/"),
        ("zmqchat/node/x.py", "asyncio.get_event_loop()", "get_running_loop"),
        ("tests/x.py", "try:\n    f()\nexcept:\n    pass", "bare except"),
        ("zmqchat/net/x.py", "try:\n    f()\nexcept BaseException:\n    pass", "eats cancellation"),
        ("zmqchat/net/x.py", "f()  # type: " + "ignore[misc]", "without a reason"),
        ("zmqchat/net/x.py", "f()  # no" + "qa: E501", "without a reason"),
        ("zmqchat/net/x.py", "f()  # pragma: " + "no cover", "without a reason"),
        ("zmqchat/net/x.py", "f()  # TO" + "DO later", "unfinished"),
        ("zmqchat/node/utils.py", "", "no responsibility"),
        ("zmqchat/node/x.py", "x = 1\n" * (FILE_LINES_MAX + 1), "lines"),
        ("zmqchat/node/x.py", "def f():\n" + "    x = 1\n" * FUNCTION_LINES_MAX, "lines"),
    ],
)
def test_a_planted_fault_is_found(path: str, text: str, expected: str) -> None:
    """Each rule sees what it is there for."""
    faults = house_faults(Source(path, text))
    assert len(faults) == 1
    assert expected in faults[0]


def test_what_has_its_reason_is_not_reported() -> None:
    """Kept tasks, explained ignores, re-raised exceptions and a face that prints are fine."""
    text = (
        "task = asyncio.create_task(f())\nprint('hello')\nnow = time.time()\n"
        "g()  # type: " + "ignore[misc]  # the library's stubs lack it\n"
        "try:\n    f()\nexcept BaseException:\n    raise\n"
    )
    assert house_faults(Source("zmqchat/cli/x.py", text)) == []


def test_planted_gaps_in_docstrings_and_sleeps_are_found() -> None:
    """A public method, a test and a sleep that say nothing are each reported; private ones are not."""
    assert (
        len(missing_docstrings(Source("zmqchat/x.py", '"""X."""\nclass A:\n    """A."""\n    def f(self): ...'))) == 1
    )
    assert missing_docstrings(Source("zmqchat/x.py", '"""X."""\ndef _f(): ...')) == []
    assert len(missing_test_docstrings(Source("tests/test_x.py", '"""X."""\ndef test_it(): ...'))) == 1
    assert len(unexplained_sleeps(Source("tests/test_x.py", "time.sleep(1)"))) == 1
    assert len(unexplained_sleeps(Source("tests/test_x.py", "while f():\n    for a in b:\n        time.sleep(1)"))) == 1
    assert unexplained_sleeps(Source("tests/test_x.py", "time.sleep(1)  # the kernel tells nobody")) == []
    assert unexplained_sleeps(Source("tests/test_x.py", "while f():\n    time.sleep(1)")) == []


def _imported_names(source: Source) -> set[str]:
    """What `from package import name` may mean: a module of the package."""
    nodes = (node for node in ast.walk(source.tree) if isinstance(node, ast.ImportFrom))
    return {f"{node.module}.{alias.name}" for node in nodes for alias in node.names}


def _quoted_modules(source: Source) -> set[str]:
    """Modules that the source names in strings, as the lazy exports of `zmqchat` do."""
    strings = (node.value for node in ast.walk(source.tree) if isinstance(node, ast.Constant))
    names = (text.partition(":")[0] for text in strings if isinstance(text, str) and " " not in text)
    return {name for name in names if name.startswith("zmqchat.")}
