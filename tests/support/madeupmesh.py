"""Made-up meshes as the control socket tells of them, for what draws them."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Any

HOSTILE_NAMES = (
    'x"]; y -- z; "\\',
    "\x1b[2Jred\nline",
    "</text><script>&",
    "\u202egnp.exe",
    "\u6f22" * 60,
    "a\u0301" * 40,
)


def node(number: int, **fields: object) -> dict[str, Any]:
    """One node, with a link of ours unless the fields say otherwise."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    start = "".join(letters[number // 26**place % 26] for place in range(8))
    known = {"is_self": False, "online": True, "hops": 1, "linked": True, "via": None, "subnet": "10.0.0.0/24"}
    return {"id": start + "a" * 44, "name": f"node {number}", "slow": False, "keeps": 0, "lacks": 0} | known | fields


def view_of(*nodes: dict[str, Any]) -> dict[str, Any]:
    """A view in which the first is linked to all others."""
    links = [[nodes[0]["id"], other["id"]] for other in nodes[1:]]
    return {"nodes": list(nodes), "links": links, "subnets": {"10.0.0.0/24": len(nodes)}, "is_partial": False}


def mesh_of(count: int, *, subnets: int = 1, links_each: int | None = None, seed: int = 1) -> dict[str, Any]:
    """A mesh in which each node has about so many links (all, where None); one in 30 is gone, one in 50 slow."""
    rng = Random(seed)
    nodes = [node(number, subnet=f"10.0.{number % subnets}.0/24", linked=False, hops=None) for number in range(count)]
    ids = [each["id"] for each in nodes]
    if links_each is None:
        pairs = {(one, other) for one in ids for other in ids if one < other}
    else:
        picked = [(one, rng.choice(ids)) for one in ids for _ in range(links_each // 2)]
        pairs = {(min(pair), max(pair)) for pair in picked if pair[0] != pair[1]}
    beside: dict[str, list[str]] = {each: [] for each in ids}
    for one, other in sorted(pairs):
        beside[one].append(other)
        beside[other].append(one)
    by_id = {each["id"]: each for each in nodes}
    nodes[0] |= {"is_self": True, "hops": 0, "name": "ann"}
    queue = deque(ids[:1])
    while queue:
        here = by_id[queue.popleft()]
        for there in map(by_id.__getitem__, beside[here["id"]]):
            if there["hops"] is None:
                there["hops"] = here["hops"] + 1
                there["via"] = None if here["is_self"] else here["via"] or here["id"]
                there["linked"] = bool(here["is_self"])
                queue.append(there["id"])
    for each in nodes[1:]:
        each["rtt_s"] = 0.0123 if each["linked"] else None
        each["online"] = rng.random() > 1 / 30
        each["slow"] = each["linked"] and rng.random() < 1 / 50
        each["keeps"] = int(count > 30 and rng.random() < 3 / count)
    return {
        "nodes": nodes,
        "links": [list(p) for p in sorted(pairs)],
        "subnets": {},
        "is_partial": links_each is not None,
    }
