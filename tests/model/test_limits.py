"""Limits: each has its reason beside it, and they fit each other."""

from __future__ import annotations

import ast
import inspect

from zmqchat.model import limits


def test_every_limit_is_a_positive_number() -> None:
    """A bound of zero would shut a door for good."""
    names = [name for name in vars(limits) if name.isupper()]
    assert len(names) > 30
    assert [name for name in names if not getattr(limits, name) > 0] == []


def test_every_limit_says_what_it_guards() -> None:
    """Each is followed by a docstring with the threat or the cost; the three of the control socket share a line."""
    body = ast.parse(inspect.getsource(limits)).body
    bare = []
    for node, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            explained = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
            if not explained:
                bare.append(node.target.id)
    assert [name for name in bare if name not in {"KIB", "MIB"} and not name.startswith("CONTROL_")] == []


def test_what_must_fit_fits() -> None:
    """The largest text fits an event, that a batch, that a frame, and a frame the smallest byte budgets."""
    assert limits.TEXT_BYTES_MAX < limits.EVENT_BYTES_MAX < limits.BATCH_BYTES_MAX < limits.FRAME_BYTES_MAX
    assert limits.FRAME_BYTES_MAX <= limits.UNREAD_LINK_BYTES_MAX <= limits.LINK_UNACKNOWLEDGED_BYTES_MAX
    assert limits.PAGE_BYTES_MAX * limits.PAGES_IN_FLIGHT_MAX <= limits.STORE_QUEUE_BYTES_MAX
