"""The pace of dials: ten a second, and a reserve that has died is gone through faster."""

from __future__ import annotations

from zmqchat.model.limits import DIALS_PER_S_MAX, DIALS_REFUSED_MAX
from zmqchat.protocol.dialpace import DialPace


def spent(pace: DialPace, now_s: float, reason: str) -> int:
    """Dial for as long as there may be one more, each ended for this reason at once; how many there were."""
    dials = 0
    while pace.left(now_s) > 0:
        pace.spend()
        pace.ended(reason, now_s)
        dials += 1
    return dials


def test_ten_dials_a_second_and_no_more_saved_up() -> None:
    """Whatever became of them, in a full mesh."""
    pace = DialPace()
    assert spent(pace, 0.0, "refused") == DIALS_PER_S_MAX
    assert spent(pace, 0.5, "timeout") == DIALS_PER_S_MAX // 2
    assert spent(pace, 60.0, "refused") == DIALS_PER_S_MAX


def test_in_a_partial_mesh_refused_dials_give_their_place_back_for_a_while() -> None:
    """Sixty-four of them, then one a second; not those that took time or a door's answer."""
    pace = DialPace()
    pace.is_partial = True
    assert spent(pace, 0.0, "refused") == DIALS_PER_S_MAX + DIALS_REFUSED_MAX
    assert spent(pace, 1.0, "refused") == DIALS_PER_S_MAX + 1
    assert spent(pace, 60.0, "timeout") == spent(pace, 120.0, "full") == DIALS_PER_S_MAX
