"""A peer that stops reading: SIGSTOP."""

from __future__ import annotations

import statistics
from pathlib import Path

from tests.support.mesh_processes import processes, same_timeline

GROWTH_BYTES_MAX = 64 * 1024 * 1024


def test_a_stopped_receiver_is_no_brake_and_catches_up(home: Path) -> None:
    """The sender's memory is bounded, the third one's latency is as before, and nothing is missing afterwards."""
    with processes(home) as mesh:
        ann = mesh.start("ann")
        bob = mesh.start("bob", ann)
        cid = mesh.start("cid", ann)
        for node in (ann, bob, cid):
            node.ask("linked", count=2)
        ann.ask("latencies", count=30)
        before = ann.ask("latencies", count=100)["s"]
        memory = ann.ask("memory")["bytes"]
        bob.pause()
        ann.ask("stream", prefix="while stopped", tasks=50, bytes=30_000)
        ann.wait_stored(1_000)
        ann.ask("stop_stream")
        cid.ask("seen", text=ann.ask("send", text="end of the stream") and "end of the stream")
        during = ann.ask("latencies", count=100)["s"]
        growth = ann.ask("memory")["bytes"] - memory
        bob.resume()
        bob.ask("seen", text="end of the stream")
        same_timeline(ann, bob, cid)
        medians = statistics.median(before), statistics.median(during)
        print(f"median {medians[0] * 1e3:.1f} and {medians[1] * 1e3:.1f} ms; memory +{growth / 2**20:.0f} MiB")
        assert medians[1] < 3 * medians[0] + 0.005
        assert growth < GROWTH_BYTES_MAX
        assert bob.ask("seen", text="end of the stream")["twice"] == 0
