"""What a case gives: one line, with its target and whether it was met."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One line of the bench.

    value   the median of the runs, in `unit`
    plain   the same of the yardstick in the same run, None where there is none
    ratio   value / plain
    target  what must be reached: of the ratio where there is a yardstick, else of the value
    """

    case: str
    payload_bytes: int | None
    value: float
    unit: str
    plain: float | None
    ratio: float | None
    target: str
    met: bool
    runs: int

    def record(self) -> dict[str, object]:
        """As a JSON object."""
        return asdict(self)


def at_least(
    case: str, values: Sequence[float], plains: Sequence[float], unit: str, target: float, payload_bytes: int
) -> Measured:
    """A rate whose ratio to the yardstick must not be below the target."""
    value, plain = statistics.median(values), statistics.median(plains)
    ratio = value / plain
    return _measured(case, payload_bytes, value, unit, plain, ratio, f">= {target:g} x", ratio >= target, len(values))


def at_most(
    case: str,
    values: Sequence[float],
    unit: str,
    target: float,
    *,
    payload_bytes: int | None = None,
    plains: Sequence[float] = (),
) -> Measured:
    """A cost that must not be above the target, times the yardstick where there is one."""
    value = statistics.median(values)
    if not plains:
        return _measured(
            case, payload_bytes, value, unit, None, None, f"<= {target:g} {unit}", value <= target, len(values)
        )
    plain = statistics.median(plains)
    ratio = value / plain
    return _measured(case, payload_bytes, value, unit, plain, ratio, f"<= {target:g} x", ratio <= target, len(values))


def _measured(
    case: str,
    payload_bytes: int | None,
    value: float,
    unit: str,
    plain: float | None,
    ratio: float | None,
    target: str,
    met: bool,
    runs: int,
) -> Measured:
    return Measured(
        case=case,
        payload_bytes=payload_bytes,
        value=round(value, 4),
        unit=unit,
        plain=None if plain is None else round(plain, 4),
        ratio=None if ratio is None else round(ratio, 3),
        target=target,
        met=met,
        runs=runs,
    )


def percentile(values: Sequence[float], fraction: float) -> float:
    """The value below which this fraction of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * fraction))]
