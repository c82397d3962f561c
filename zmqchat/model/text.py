"""Cleaning of everything from others, between the store and any face: nothing that is shown can steer a terminal.

`clean` keeps what a text says and shows what it must not do: control characters in caret form, bidi overrides by
their numbers, and no more marks on a letter than any script uses. `clean_name` is stricter: a name stands in a column
of its own beside other people's names.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from typing import Final

from zmqchat.model.limits import NAME_CELLS_MAX

MARKS_MAX: Final = 4
"""Marks on one letter: Hebrew with vowels and cantillation has 4; hundreds paint over the neighbouring rows."""

CLUSTER_CHARACTERS_MAX: Final = 16
"""Code points that a terminal draws as one character: a family of four with skin tones has 11."""

REPLACEMENT: Final = "\ufffd"

_ZWNJ: Final = "\u200c"
_ZWJ: Final = "\u200d"
_PLAIN: Final = re.compile("[\\n\\t -~\u00a0-\u00ac\u00ae-\u02ff\u0370-\u0482\u3041-\u3096\u30a0-\u30ff\u4e00-\u9fff]*")
"""Printable ASCII, Latin, Greek, Cyrillic, kana, Chinese: nothing in it needs a look."""

_BIDI: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_LINE_ENDS: Final = frozenset("\u2028\u2029")
_DIRECTION_MARKS: Final = frozenset("\u200e\u200f\u061c")
_BLANKS: Final = frozenset("\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u2800\u3164\uffa0\ufff9\ufffa\ufffb")
"""Characters that show nothing though their category says otherwise, and some that only steer line breaking."""

_VISIBLE_FORMATS: Final = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2")

_BASE, _MARK, _SPACING_MARK, _JOINER, _CONTROL, _BIDI_MARK, _DROP, _NEWLINE, _MODIFIER = range(9)


class _Classes(dict[str, int]):
    """What a character is, looked up once; holds the characters that were met, at most all of Unicode."""

    def __missing__(self, character: str) -> int:
        found = self[character] = _classify(character)
        return found


def _classify(character: str) -> int:
    category = unicodedata.category(character)
    if character in "\n\t":
        return _BASE
    if category in ("Cc", "Cs"):
        return _CONTROL
    if character in _BIDI:
        return _BIDI_MARK
    if character in _LINE_ENDS:
        return _NEWLINE
    if character in (_ZWNJ, _ZWJ):
        return _JOINER
    if character in _DIRECTION_MARKS or category in ("Mn", "Me"):
        return _MARK
    if category == "Mc":
        return _SPACING_MARK
    if 0x1F3FB <= ord(character) <= 0x1F3FF:
        return _MODIFIER
    if category == "Cf" and character not in _VISIBLE_FORMATS and not 0xE0020 <= ord(character) <= 0xE007F:
        return _DROP
    if 0xE0020 <= ord(character) <= 0xE007F:  # the tags that make England's flag of a black one
        return _MODIFIER
    return _BASE


_CLASSES: Final = _Classes()


def clean(text: str) -> str:
    """The text as it may be shown: newlines and tabs kept, all that steers a terminal made visible."""
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    match = _PLAIN.match(text)
    start = match.end() if match else 0
    if start == len(text):
        return text
    # The letter before may carry the first mark of the rest.
    start = max(0, start - 1)
    return text[:start] + _cleaned(text[start:])


def _cleaned(text: str) -> str:
    """Go through the text with a count of the marks and of all that hangs on the last base character."""
    shown: list[str] = []
    marks = hangers = 0
    is_joined = False
    for character in text:
        kind = _CLASSES[character]
        if kind == _BASE:
            if is_joined and hangers < CLUSTER_CHARACTERS_MAX - 1 and ord(character) > 0x2000:
                hangers += 1  # the next emoji of one that is joined together
            else:
                hangers = 0
            marks = 0
            is_joined = False
            shown.append(character)
        elif kind in (_MARK, _SPACING_MARK, _MODIFIER):
            marks += kind == _MARK
            hangers += 1
            if marks <= MARKS_MAX and hangers < CLUSTER_CHARACTERS_MAX:
                shown.append(character)
        elif kind == _JOINER:
            hangers += 1
            is_shown = not is_joined and hangers < CLUSTER_CHARACTERS_MAX - 1
            if is_shown:
                shown.append(character)
            is_joined = is_shown and character == _ZWJ
        elif kind != _DROP:
            marks = hangers = 0
            is_joined = False
            shown.append(_visible(character, kind))
    return "".join(shown)


def _visible(character: str, kind: int) -> str:
    if kind == _NEWLINE:
        return "\n"
    code = ord(character)
    if kind == _BIDI_MARK:
        return f"<U+{code:04X}>"
    if code < 0x20 or code == 0x7F:
        return f"^{chr(code ^ 0x40)}"
    return REPLACEMENT


def clean_name(name: str, fallback: str) -> str:
    """The name as it may be shown: one line of at most 32 cells with something to see, else the fallback."""
    # 256 characters are more than 32 cells can hold; what lies behind costs no time.
    return _name_to_show(name[:256]) or fallback


@functools.lru_cache(maxsize=256)  # the same few stand in record after record
def _name_to_show(name: str) -> str:
    """The name as it may be shown; empty where nothing is left of it."""
    normal = unicodedata.normalize("NFKC", name)
    kept: list[str] = []
    for character in normal:
        kind = _CLASSES[character]
        if character.isspace() or kind == _NEWLINE:
            kept.append(" ")
        elif _may_stand_in_a_name(character, kind):
            kept.append(character)
    # Marks that a terminal draws over what stands before need a letter of their own.
    text = _cleaned(" ".join("".join(kept).split())).strip()
    while text and _CLASSES[text[0]] in (_MARK, _SPACING_MARK, _MODIFIER):
        text = text[1:]
    shown = cut_to_cells(text, NAME_CELLS_MAX).strip()
    return shown if any(cell_width(character) for character in shown if not character.isspace()) else ""


def _may_stand_in_a_name(character: str, kind: int) -> bool:
    if character in _BLANKS:
        return False
    return kind in (_BASE, _MODIFIER, _SPACING_MARK) or (kind == _MARK and unicodedata.combining(character) > 0)


def cut_to_cells(text: str, cells_max: int) -> str:
    """The longest beginning of a cleaned one-line text that takes at most so many cells."""
    used = 0
    for index, character in enumerate(text):
        used += cell_width(character)
        if used > cells_max:
            return text[:index]
    return text


def cell_width(character: str) -> int:
    """The cells that most terminals give a character: 0 for marks, 2 for wide ones, else 1."""
    kind = _CLASSES[character]
    if kind in (_MARK, _JOINER, _DROP, _CONTROL, _BIDI_MARK, _NEWLINE):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


_LOOK_ALIKES: Final = str.maketrans(
    "аеорсухіјѕԁԛԝһӏкмтвн" + "αβγεικνορτυχωϲ" + "0135ıǀ|",
    "aeopcyxijsdqwhlkmtbh" + "abyeiknoptuxwc" + "olesill",
)


def skeleton(name: str) -> str:
    """What a name looks like: two names of one skeleton can be taken for each other."""
    plain = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", name).casefold())
    letters = "".join(character for character in plain if _CLASSES[character] == _BASE and not character.isspace())
    return letters.translate(_LOOK_ALIKES)
