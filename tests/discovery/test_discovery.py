"""What is said to somebody who sees nobody."""

from __future__ import annotations

from zmqchat.discovery.discovery import DiscoveryStatistics, nobody_found
from zmqchat.discovery.interfaces import Address, Interface


def test_what_was_tried_and_the_one_thing_to_try_next() -> None:
    """One line that names interfaces and --peer."""
    wired = Interface(name="eth0", index=2, loopback=False, addresses=(Address("10.0.0.1", 24),))
    line = nobody_found(DiscoveryStatistics(active=True, interfaces=(wired,)))
    assert "eth0 (10.0.0.1)" in line and "--peer" in line and "\n" not in line


def test_a_known_problem_is_the_answer() -> None:
    """Where it is known why, that is said."""
    line = nobody_found(DiscoveryStatistics(active=False, last_problem="no cable; plug one in"))
    assert line == "nobody found: no cable; plug one in"


def test_discovery_that_is_off_says_so() -> None:
    """Nothing was tried."""
    line = nobody_found(DiscoveryStatistics(active=False))
    assert "discovery is off" in line and "--peer" in line
