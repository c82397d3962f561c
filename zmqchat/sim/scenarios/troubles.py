"""One kind of trouble at a time, by name: `zmqchat sim --scenario crashes` is people who chat while nodes crash."""

from __future__ import annotations

from zmqchat.sim.scenarios.chat import Chat


class Partition(Chat):
    """The network falls apart and heals."""

    usual_faults = ("partition", "cut")


class Crashes(Chat):
    """Processes are killed and machines go off, with and without their last writes."""

    usual_faults = ("kill", "power")


class FullDisk(Chat):
    """Disks are full, broken or slow for a while."""

    usual_faults = ("full-disk", "broken-disk", "slow-disk", "unreadable-disk")


class WrongClocks(Chat):
    """Clocks are wrong, are set, and run at another rate."""

    usual_faults = ("skew", "clock-jumps", "drift")


class OneWay(Chat):
    """What one sends another gets lost, not what it is sent."""

    usual_faults = ("one-way",)


class Lossy(Chat):
    """Packets get lost, feeds lose and double frames, and some links are long."""

    usual_faults = ("loss", "latency")


class Backup(Chat):
    """Somebody puts back a backup, and the store shows that it is one."""

    usual_faults = ("backup",)


class ForkedAuthor(Chat):
    """Somebody puts back a backup that nothing gives away, and goes on in the log that it was made of."""

    usual_faults = ("fork",)
