"""Cleaning: what others wrote is shown whole, and steers nothing."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqchat.model.limits import NAME_CELLS_MAX
from zmqchat.model.text import CLUSTER_CHARACTERS_MAX, MARKS_MAX, cell_width, clean, clean_name, cut_to_cells, skeleton

STEERING = {chr(code) for code in [*range(0x20), *range(0x7F, 0xA0)]} - {"\n", "\t"}
BIDI = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
FALLBACK = "k3vq-7d2a"


def test_every_control_character_below_a0_becomes_visible() -> None:
    """Each code point below U+00A0 but newline and tab is shown as printable characters."""
    for code in range(0xA0):
        character = chr(code)
        shown = clean(f"a{character}b")
        if character in STEERING:
            assert character not in shown
            assert len(shown) > 2
            assert shown.isprintable()
        else:
            assert shown == f"a{character}b"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07", "^[]0;title^G"),
        ("\x1b]52;c;aGk=\x07", "^[]52;c;aGk=^G"),
        ("\x9b2J", "\ufffd2J"),
        ("a\rb", "a^Mb"),
        ("a\r\nb", "a\nb"),
        ("a\u2028b", "a\nb"),
        ("\ud800", "\ufffd"),
        ("a\u202eb", "a<U+202E>b"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("[/nope] [link=file:///x]y[/link] :smile:", "[/nope] [link=file:///x]y[/link] :smile:"),
    ],
)
def test_what_steers_a_terminal_is_shown(text: str, shown: str) -> None:
    """Escape sequences, overrides and lone surrogates turn into marks, markup stays what it is."""
    assert clean(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "Grüße, ćwiczenie, naïve",
        "e\u0301te\u0301",
        "שָׁלוֹם",
        "नमस्ते क्ष",
        "می\u200cخواهم",
        "สวัสดีน้ำ",
        "你好，世界",
        "こんにちはｶﾞ",
        "한국어",
        "👨‍👩‍👧‍👦 👍🏽 🏴󠁧󠁢󠁥󠁮󠁧󠁿 ❤️ 🇩🇪",
        "tab\tand\nline",
    ],
)
def test_what_people_write_stays_as_it_is(text: str) -> None:
    """Scripts, joined emoji, flags and skin tones pass unchanged."""
    assert clean(text) == text


def test_a_flood_of_marks_is_cut() -> None:
    """A letter keeps at most four marks and sixteen characters in all."""
    shown = clean("a" + "\u0301" * 1000 + "b")
    assert shown == "a" + "\u0301" * MARKS_MAX + "b"
    joined = clean("👍" + "\u200d👍" * 1000)
    assert max(len(part) for part in joined.split("👍👍")) <= CLUSTER_CHARACTERS_MAX
    assert clean("क" + "\u093e" * 1000).count("\u093e") < CLUSTER_CHARACTERS_MAX


def test_the_largest_texts_are_cleaned_quickly() -> None:
    """64 KiB without a space, and 100,000 marks, take no time that a person would notice."""
    for text in ("x" * 65536, "\u0301" * 100_000, "\x1b" * 65536, "é\u0301" * 20_000):
        start_s = time.perf_counter()
        clean(text)
        assert time.perf_counter() - start_s < 0.5


@given(st.text(st.characters(codec=None), max_size=200))
def test_nothing_steering_is_left_of_any_text(text: str) -> None:
    """Whatever the input, no control, override or surrogate comes out, and cleaning again changes nothing."""
    shown = clean(text)
    assert not STEERING & set(shown)
    assert not BIDI & set(shown)
    assert not any(unicodedata.category(character) == "Cs" for character in shown)
    assert clean(shown) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("ann", "ann"),
        ("  ann \n smith ", "ann smith"),
        ("\x1b]52;c;aGk=\x07", "]52;c;aGk="),
        ("[/red]", "[/red]"),
        ("", FALLBACK),
        ("   ", FALLBACK),
        ("\u200b\u3164\u2800", FALLBACK),
        ("\u0301\u0301", FALLBACK),
        ("\u202enna", "nna"),
        ("ａｎｎ", "ann"),
        ("an\u00adn", "ann"),
        ("x" * 4096, "x" * NAME_CELLS_MAX),
        ("名" * 40, "名" * (NAME_CELLS_MAX // 2)),
        ("\ud800", FALLBACK),
    ],
)
def test_names_are_one_short_visible_line(name: str, shown: str) -> None:
    """A hostile, empty or overlong nickname becomes a short one, or the short id."""
    assert clean_name(name, FALLBACK) == shown


@given(st.text(st.characters(codec=None), max_size=400))
def test_any_name_fits_its_column(name: str) -> None:
    """Whatever the input: one line, at most 32 cells, something to see, and stable."""
    shown = clean_name(name, FALLBACK)
    assert 0 < sum(cell_width(character) for character in shown) <= NAME_CELLS_MAX
    assert "\n" not in shown
    assert not (STEERING | BIDI) & set(shown)
    assert clean(shown) == shown


def test_cutting_counts_cells() -> None:
    """A wide character that would cross the edge is left out whole."""
    assert cut_to_cells("a名b", 2) == "a"
    assert cut_to_cells("a名b", 3) == "a名"
    assert cut_to_cells("ab", 5) == "ab"


@pytest.mark.parametrize(
    ("one", "other"), [("ann", "аnn"), ("Ann", "ann"), ("bob", "b0b"), ("ann", "a n n"), ("ann", "ánn")]
)
def test_look_alikes_share_a_skeleton(one: str, other: str) -> None:
    """Names that can be taken for each other are found to be so."""
    assert skeleton(one) == skeleton(other)
    assert skeleton("ann") != skeleton("bob")
