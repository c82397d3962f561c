"""Networks on which most hosts do not reach each other, made of those of tests/support/namespaces.py.

with chain(8) as shape, crew(tmp_path) as nodes:
    nodes.start(*shape.hosts)
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from tests.support.namespaces import Host, Lan, lan


@dataclass(frozen=True)
class Shape:
    """Hosts, and who reaches whom.

    hosts       all of them
    neighbours  for each the numbers of the hosts that it reaches
    """

    hosts: list[Host]
    neighbours: list[set[int]]

    def without(self, gone: int) -> Shape:
        """The same where one host is switched off; the others keep their numbers."""
        kept = [set[int]() if number == gone else each - {gone} for number, each in enumerate(self.neighbours)]
        return Shape(self.hosts, kept)

    def hops(self, one: int, other: int) -> int | None:
        """How many links the shortest way between two hosts has; None where there is none."""
        distances = {one: 0}
        queue = [one]
        for here in queue:
            for there in sorted(self.neighbours[here]):
                if there not in distances:
                    distances[there] = distances[here] + 1
                    queue.append(there)
        return distances.get(other)


@contextlib.contextmanager
def _lans(count: int, first_subnet: int) -> Iterator[list[Lan]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(lan(hosts=0, subnet=f"10.77.{first_subnet + number}")) for number in range(count)]


@contextlib.contextmanager
def chain(count: int) -> Iterator[Shape]:
    """Hosts in a row: each reaches the one before and the one after it."""
    with _lans(count - 1, 10) as lans:
        hosts = [cable.add_host() for cable in lans]
        hosts.append(lans[-1].add_host())
        for cable, host in zip(lans, hosts[1:-1], strict=False):
            cable.attach(host)
        yield Shape(hosts, [{number - 1, number + 1} & set(range(count)) for number in range(count)])


@contextlib.contextmanager
def ring(count: int) -> Iterator[Shape]:
    """Hosts in a circle: each reaches the one at its left and the one at its right."""
    with _lans(count, 30) as lans:
        hosts = [cable.add_host() for cable in lans]
        for number, cable in enumerate(lans):
            cable.attach(hosts[(number + 1) % count])
        yield Shape(hosts, [{(number - 1) % count, (number + 1) % count} for number in range(count)])


@contextlib.contextmanager
def three_subnets() -> Iterator[Shape]:
    """Two hosts, one and two, in three subnets; host 2 joins the first with the second, host 4 that with the third."""
    with _lans(3, 50) as lans:
        left, middle, right = lans
        hosts = [left.add_host(), left.add_host(), left.add_host(), middle.add_host(), middle.add_host()]
        hosts += [right.add_host(), right.add_host()]
        middle.attach(hosts[2])
        right.attach(hosts[4])
        subnets = [{0, 1, 2}, {2, 3, 4}, {4, 5, 6}]
        reached = [set[int]().union(*(each for each in subnets if number in each)) - {number} for number in range(7)]
        yield Shape(hosts, reached)


@contextlib.contextmanager
def two_gateways() -> Iterator[Shape]:
    """Two subnets of two hosts, joined by host 2 and by host 3."""
    with _lans(2, 60) as (left, right):
        hosts = [left.add_host(), left.add_host(), left.add_host(), left.add_host(), right.add_host(), right.add_host()]
        for gateway in hosts[2:4]:
            right.attach(gateway)
        subnets = [{0, 1, 2, 3}, {2, 3, 4, 5}]
        reached = [set[int]().union(*(each for each in subnets if number in each)) - {number} for number in range(6)]
        yield Shape(hosts, reached)


@contextlib.contextmanager
def client_isolation(count: int) -> Iterator[Shape]:
    """One subnet in which all but the first reach only the first."""
    with lan(hosts=count, subnet="10.77.70") as network:
        for host in network.hosts[1:]:
            host.isolate()
        yield Shape(network.hosts, [set(range(1, count)), *({0} for _ in range(1, count))])
