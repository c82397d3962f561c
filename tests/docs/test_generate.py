"""The generated parts of the reference say what the code says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.sources import REPO

REFERENCE = REPO / "docs" / "reference"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    """docs/generate.py as a module."""
    spec = importlib.util.spec_from_file_location("generate", REPO / "docs" / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", sorted(REFERENCE.glob("*.md")), ids=lambda page: page.stem)
def test_generated_parts_are_fresh(generate: ModuleType, page: Path) -> None:
    """`python docs/generate.py` would change nothing."""
    text = page.read_text(encoding="utf-8")
    assert generate.refreshed(text) == text, "stale: run `python docs/generate.py`"


def test_every_part_is_used(generate: ModuleType) -> None:
    """Each part that the generator knows stands in a page."""
    texts = "".join(page.read_text(encoding="utf-8") for page in REFERENCE.glob("*.md"))
    assert [name for name in generate.PARTS if f"<!-- generated: {name} -->" not in texts] == []
