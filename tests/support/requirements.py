"""What a test needs of its machine: skipped with a printed reason where it is missing, failed where nothing may be."""

from __future__ import annotations

import os

import pytest


def everything_is_required() -> bool:
    """Whether a test that can't run here must fail: CI says so, as it has installed all that is needed."""
    return os.environ.get("ZMQCHAT_TESTS_REQUIRE") == "all"


def require(condition: object, reason: str) -> None:
    """Go on where the condition holds; else skip with this reason, or fail under ZMQCHAT_TESTS_REQUIRE=all."""
    if condition:
        return
    if everything_is_required():
        pytest.fail(f"required here, but {reason}", pytrace=False)
    pytest.skip(reason)
