"""What others write is safe to show: no control, no reordering, no flood of marks."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqchat.model.limits import NAME_CELLS_MAX
from zmqchat.model.text import CLUSTER_CODE_POINTS_MAX, MARKS_PER_BASE_MAX, clean, clean_name

ANY_TEXT = st.text(st.characters(categories=None), max_size=80) | st.text(
    st.sampled_from("a\u0301\u200d\u200b\U0001f468\ufe0f\u202e\u2066\n\t\r\x1b\x9b\ud800\u0915\u094d\u3164 "),
    max_size=60,
)
BIDI = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def test_every_control_below_a0_becomes_visible() -> None:
    """Of the code points below U+00A0 only line feed and tab reach the terminal as they are."""
    for code in range(0xA0):
        shown = clean(f"a{chr(code)}é")
        for character in shown:
            assert character in "\n\t" or character.isprintable()
        assert len(shown) >= 3


@pytest.mark.parametrize("text", ["\x1b[2J", "\x1b]52;c;aGk=\x07", "\x9b31m", "a\rb", "\x1b]8;;file:///\x1b\\x"])
def test_escape_sequences_lose_their_escape(text: str) -> None:
    """CSI, OSC, C1 and carriage return arrive as marks that do nothing."""
    assert clean(text).isprintable()
    assert clean(text + "ä").isprintable()


def test_readable_texts_stay_as_they_are() -> None:
    """Scripts, vocalised text, emoji families, flags and indented lines are not touched."""
    for text in (
        "Hello, World!\n\tindented",
        "你好，世界",
        "Việt Nam e\u0302\u0301",
        "שָׁלוֹם",
        "می‌خواهم",
        "क्षत्रिय ക്‍",
        "👩‍👩‍👧‍👦 👍🏽 ❤️ 1️⃣ 🇩🇪 🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
        "한국어",
    ):
        assert clean(text) == text


def test_bidi_controls_are_named_rather_than_obeyed() -> None:
    """An override can't turn around what stands behind the text."""
    assert clean("x\u202egpj.exe") == "x<RLO>gpj.exe"
    assert clean("\u2067é") == "<RLI>é"


def test_a_flood_of_marks_is_cut() -> None:
    """A hundred thousand combining marks leave four."""
    assert clean("a" + "\u0301" * 100_000 + "b") == "a" + "\u0301" * MARKS_PER_BASE_MAX + "b"


def test_a_mark_without_base_gets_one() -> None:
    """A mark at the start of a line does not sit on what was printed before it."""
    assert clean("\u0301x") == "\u25cc\u0301x"
    assert clean("a\n\u0301") == "a\n\u25cc\u0301"


def test_lone_surrogates_and_separators_become_replacement_characters() -> None:
    """What can't be encoded, or ends a line elsewhere, is shown as U+FFFD."""
    assert clean("a\ud800b\u2028c\uffff") == "a\ufffdb\ufffdc\ufffd"


def test_invisible_joiners_after_latin_letters_are_left_out() -> None:
    """Zero-width characters can't hide between letters that they don't shape."""
    assert clean("pay\u200dpal\u200b\ufeff\u00adé") == "paypalé"


@given(ANY_TEXT)
def test_nothing_dangerous_is_left(text: str) -> None:
    """Whatever comes in: encodable, no control, no bidi control, bounded marks and clusters."""
    shown = clean(text)
    shown.encode()
    assert not BIDI & set(shown)
    marks = cluster = 0
    joined = False
    for character in shown:
        category = unicodedata.category(character)
        assert category != "Cc" or character in "\n\t"
        is_mark = category.startswith("M")
        marks = marks + 1 if is_mark else 0
        extends = is_mark or joined or character in "\u200d\u200c"
        cluster = cluster + 1 if extends else 1
        joined = character in "\u200d\u200c"
        assert marks <= MARKS_PER_BASE_MAX
        assert cluster <= CLUSTER_CODE_POINTS_MAX


@given(ANY_TEXT)
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    """What is clean stays as it is."""
    assert clean(clean(text)) == clean(text)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("ann", "ann"),
        ("  Ann   B. ", "Ann B."),
        ("ＡＮＮ", "ANN"),
        ("\x1b]52;c;aGk=\x07", "]52;c;aGk="),
        ("[/red]", "[/red]"),
        ("\u202eevil", "evil"),
        ("a\u200db\ufe0f", "ab"),
        ("a\nb", "a b"),
        ("x" * 4096, "x" * NAME_CELLS_MAX),
        ("名" * 40, "名" * 16),
        ("", "fallback"),
        ("   ", "fallback"),
        ("\u200b\u202e\u3164\u0301", "fallback"),
        ("\ud800", "fallback"),
    ],
)
def test_names_are_cut_to_what_is_visible(name: str, shown: str) -> None:
    """A nickname loses all that is invisible and all beyond 32 cells; where nothing is left the id stands in."""
    assert clean_name(name, "fallback") == shown


@given(ANY_TEXT)
def test_names_never_hold_anything_invisible(name: str) -> None:
    """Whatever a peer calls itself: printable, one line, not empty, no outer blanks."""
    shown = clean_name(name, "abcd-efgh")
    assert shown.isprintable()
    assert shown == shown.strip() != ""
    assert clean_name(shown, "abcd-efgh") == shown
