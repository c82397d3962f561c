"""`doctor`: what a node sees of itself and its network, and for each problem the thing to do."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from zmqchat.discovery.discovery import DiscoveryStatistics
from zmqchat.model.errors import UsageError
from zmqchat.model.ids import peer_text
from zmqchat.node.mesh import view_mesh
from zmqchat.node.records import way_record
from zmqchat.node.values import Peer
from zmqchat.protocol.assembly import Machines
from zmqchat.wire import packing

if TYPE_CHECKING:
    from zmqchat.node.opening import Opened

CLOCK_DIFFERENCE_TOLD_S = 5.0
ANSWER_TIMEOUTS_S = (0.5, 2.0)
"""A peer that was asked just before, by another command, does not answer: it is asked again."""
MDNS_PORT = 5353
DISK_LOW_BYTES = 256 * 1024 * 1024


async def examine(opened: Opened, peer: str | None, notices: Sequence[str] = ()) -> Mapping[str, object]:
    """The report of this node, with `peer` (name, short or full id) also what both sides think of each other."""
    store = opened.store
    stats = await asyncio.wrap_future(store.read(store.stats))
    probes = await opened.discovery.self_test() if opened.settings.discovery else ()
    statistics = opened.discovery.statistics()
    core = opened.core
    report: dict[str, object] = {
        "id": peer_text(core.me),
        "name": opened.name,
        "home": str(opened.home.folder),
        "mesh": opened.settings.mesh,
        "address": opened.address,
        "ports": {"door": opened.ports[0], "direct": opened.ports[1], "feed": opened.ports[2]},
        "hosts": list(opened.hosts),
        "interfaces": [
            {"name": interface.name, "addresses": [str(address.ip) for address in interface.addresses]}
            for interface in statistics.interfaces
        ],
        "discovery": {
            "on": opened.settings.discovery,
            "active": statistics.active,
            "advertised": statistics.advertised,
            "candidates": statistics.candidates,
            "heard_own_s_ago": statistics.heard_own_s_ago,
            "last_problem": statistics.last_problem,
            "ignored": sum(statistics.ignored.values()),
            "multicast": [
                {"interface": p.interface, "address": p.address, "sent": p.sent, "heard": p.heard, "problem": p.problem}
                for p in probes
            ],
        },
        "peers": _peers(opened),
        "counters": dict(opened.transport.stats().counters),
        "refusals": dict(core.machines.admission.refusals),
        "faults": dict(core.machines.faults.counts),
        "mesh_links": _links(core.machines),
        "firewall": {} if is_loopback(opened.listen_host) else firewall_rules(opened.ports),
        "notices": list(notices),
        "store": {
            "bytes": stats.file_bytes,
            "used_bytes": stats.used_bytes,
            "free_bytes": max(0, stats.file_bytes - stats.used_bytes),
            "map_bytes": stats.map_bytes,
            "batches": stats.batches,
            "disk_free_bytes": stats.disk_free_bytes,
        },
    }
    problems = [probe.problem for probe in probes if probe.problem]
    if peer is not None:
        report["peer"] = await _both_sides(opened, peer)
    report["problems"] = problems + _problems(opened, statistics, stats.disk_free_bytes)
    return report


def _everybody(opened: Opened) -> list[Peer]:
    core = opened.core
    known = {peer for peer, _target in core.machines.peers.book.peers()} | core.machines.peers.linked
    return sorted((core.peer(peer) for peer in known), key=lambda peer: (not peer.online, peer.name, peer.id))


def _links(machines: Machines) -> dict[str, object]:
    """Which kind of mesh this node is in, and what it keeps for it."""
    overlay = machines.overlay
    return {
        "partial": overlay.is_partial,
        "neighbours": len(overlay.neighbours),
        "in_reserve": len(overlay.passive),
        "dropped_frames": overlay.dropped_frames,
        "gapped_members": len(machines.gaps.unreached),
    }


def _peers(opened: Opened) -> list[dict[str, object]]:
    """All that are known, with how each is reached."""
    nodes = {node.id: node for node in view_mesh(opened.core, opened.address).nodes}
    return [_peer(known) | way_record(nodes.get(known.id)) for known in _everybody(opened)]


def _peer(peer: Peer) -> dict[str, object]:
    return {
        "id": peer.id_text,
        "name": peer.name,
        "online": peer.online,
        "address": peer.address,
        "found_by": peer.found_by,
        "rtt_s": peer.rtt_s,
        "clock_difference_s": peer.clock_difference_s,
        "last_error": peer.last_error,
    }


async def _both_sides(opened: Opened, wanted: str) -> dict[str, object]:
    """What we think of a peer, and what it says of us."""
    machines = opened.core.machines
    folded = wanted.casefold().replace("-", "")
    matches = [peer for peer in _everybody(opened) if peer.name.casefold() == wanted.casefold()]
    matches += [peer for peer in _everybody(opened) if len(folded) >= 4 and peer.id_text.startswith(folded)]
    if not matches:
        raise UsageError(f"no peer is known by {wanted[:80]!r}: `zmqchat peers --all` lists them")
    peer = matches[0]
    here = dict(machines.peers.describe(peer.id, opened.runner.now()))
    answer = None
    for timeout_s in ANSWER_TIMEOUTS_S:
        if answer is None and machines.peers.is_linked(peer.id):
            answer = await opened.ask(peer.id, timeout_s)
    return {"id": peer.id_text, "name": peer.name, "here": here, "there": None if answer is None else dict(answer)}


def is_loopback(host: str | None) -> bool:
    """Whether a node that is bound to this host (None: to all) can be reached from this machine only."""
    if host is None or host == "localhost":
        return host is not None
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def firewall_rules(ports: tuple[int, int, int]) -> dict[str, str]:
    """The commands that let others reach this node, by firewall; the ports are those of this node."""
    first, last = min(ports), max(ports)
    together = last - first == 2
    tcp = [f"{first}-{last}"] if together else [str(port) for port in ports]
    listed = ",".join(tcp)
    ufw = " && ".join(f"ufw allow {part.replace('-', ':')}/tcp" for part in tcp)
    firewalld = " ".join(f"--add-port={part}/tcp" for part in tcp)
    return {
        "ufw": f"{ufw} && ufw allow {MDNS_PORT}/udp",
        "firewalld": f"firewall-cmd --permanent {firewalld} --add-service=mdns && firewall-cmd --reload",
        "Windows": f"New-NetFirewallRule -DisplayName zmqchat -Direction Inbound -Protocol TCP -LocalPort {listed} "
        f"-Action Allow; New-NetFirewallRule -DisplayName zmqchat-mdns -Direction Inbound -Protocol UDP "
        f"-LocalPort {MDNS_PORT} -Action Allow",
    }


def _problems(opened: Opened, statistics: DiscoveryStatistics, disk_free_bytes: int) -> list[str]:
    """Each with the thing to do."""
    problems = []
    nobody = opened.nobody_found()
    if nobody is not None:
        problems.append(nobody)
        problems += opened.unanswered()[1:]  # the first stands in it
    else:
        problems += opened.unanswered()
        problems += [statistics.last_problem] if statistics.last_problem is not None else []
    if opened.core.machines.reach.nobody_reaches_us:
        problems.append(
            "nobody can reach me: all links are ones that this node dialled. A firewall here? The rules below let "
            "others in; until then it keeps the links that it opens itself"
        )
    if not packing.IS_COMPILED:
        problems.append(
            "msgpack runs here without its compiled part, so all is many times slower: unset MSGPACK_PUREPYTHON, or "
            "install a build of it for this Python (`pip install --force-reinstall msgpack`)"
        )
    if disk_free_bytes < DISK_LOW_BYTES:
        problems.append(f"only {disk_free_bytes // 2**20} MiB are free on the disk of {opened.home.folder}: free some")
    for peer in _everybody(opened):
        difference_s = peer.clock_difference_s
        if peer.online and difference_s is not None and abs(difference_s) > CLOCK_DIFFERENCE_TOLD_S:
            problems.append(
                f"the clock of {peer.name} is {difference_s:+.0f} s off this one's: set both by NTP; nothing is lost"
            )
        if not peer.online and peer.last_error:
            problems.append(
                f"{peer.name} can't be reached at {peer.address} ({peer.last_error}): is it running, and does a "
                "firewall there let it be reached? `zmqchat doctor` there prints the rules"
            )
    return problems
