"""What the openings and ends of memory blocks look like, and what may stand around them."""

import re
from collections.abc import Iterable
from typing import Final

_SPACE: Final = r"[\s\u200b-\u200d\u2060\ufeff]{0,80}"
_QUOTE: Final = "[\"'\u201c-\u201f]"
_KEYS: Final = ("memories", "memory", "facts", "fact", "forget", "content", "text")
_TAG: Final = (*"<memory", r"\s{0,8}", ">")
_END_TAG: Final = (*"</memory", r"\s{0,8}", ">")
_FENCE: Final = ("`", "`", "`")
_LANGUAGE: Final = "(?:j(?:s(?:o(?:n)?)?)?|x(?:m(?:l)?)?)?"
_FENCE_LINE: Final = (*_FENCE, _LANGUAGE, r"[ \t]{0,8}", r"[\r\n]", _SPACE)
_INNER_FENCE: Final = (*_FENCE, _LANGUAGE, _SPACE)
_LIST: Final = (r"\[", _SPACE)

_Parts = tuple["str | list[_Parts]", ...]
"""Patterns in a row; a list holds alternatives. (A row for each way through would compile far longer.)"""

_JSON: Final[list[_Parts]] = [
    (r"\{", _SPACE, rf"(?:{_QUOTE}|[}}a-z])"),
    (r"\[", _SPACE, rf"(?:{_QUOTE}|[{{\]])"),
]
_OPENING: Final[_Parts] = (
    [(), _FENCE_LINE],
    *_TAG,
    _SPACE,
    [([(), _INNER_FENCE], _JSON), _END_TAG],
)
_USUAL_OPENING: Final[_Parts] = (
    *_TAG,
    _SPACE,
    [(), _INNER_FENCE],
    [(), _LIST],
    r"\{",
    _SPACE,
    f"{_QUOTE}?",
    [tuple(key) for key in _KEYS],
)


def _whole(parts: _Parts) -> str:
    return "".join(part if isinstance(part, str) else _any(map(_whole, part)) for part in parts)


def _begun(parts: _Parts) -> str:
    """A pattern for every text that begins like these in a row, and ends too early."""
    pattern = ""
    for part in reversed(parts):
        if isinstance(part, str):
            pattern = f"(?:{part}{pattern})?"
        else:
            pattern = _any([*map(_begun, part), _whole((part,)) + pattern])
    return pattern


def _any(patterns: Iterable[str]) -> str:
    return f"(?:{'|'.join(patterns)})"


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


OPENING: Final = _compiled(_whole(_OPENING))
OPENING_BEGUN: Final = _compiled(_begun(_OPENING))
USUAL_OPENING: Final = _compiled(_whole(_USUAL_OPENING))
USUAL_OPENING_BEGUN: Final = _compiled(_begun(_USUAL_OPENING))
CANDIDATE: Final = re.compile(r"<|`{3,}|`+\Z")
TAG: Final = _compiled(_whole(_TAG))
CLOSING: Final = _compiled(_whole(_END_TAG))
ANY_TAG: Final = _compiled(_whole(([_TAG, _END_TAG],)))
CLOSING_BEGUN: Final = _compiled(_begun(_END_TAG))
KEY: Final = re.compile(rf"[{{,]{_SPACE}{_QUOTE}?(?:{'|'.join(_KEYS)}){_QUOTE}?{_SPACE}:", re.IGNORECASE)
LIST_OR_NOTHING: Final = re.compile(rf"{_SPACE}(?:```[a-z]*{_SPACE})?(?:\[|\{{\s*\}}|\Z)", re.IGNORECASE)
ANY_KEY: Final = re.compile(rf"{_SPACE}(?:```[a-z]*{_SPACE})?\{{{_SPACE}{_QUOTE}", re.IGNORECASE)
JSON_START: Final = re.compile(r"[{\[]")
JSON_TOKEN: Final = re.compile(r"[\"{}\[\]<]")
STRING_TOKEN: Final = re.compile(r"[\"\\]")
BEHIND_JSON: Final = re.compile(r"[\s\u200b-\u200d\u2060\ufeff,:;`}\]]*")
GOES_ON: Final = re.compile(r"[\"\[]")
"""What goes on with JSON that seemed to have ended, if one of these marks stands before it:"""
GOING_ON: Final = re.compile(r"[,:}\]]")

QUOTING: Final = frozenset("\"'\u2018\u201c\u201e\u00ab")
"""What stands directly before a tag that may be only talked about, and behind it then:"""
UNQUOTING: Final = re.compile("[\"'\u2019\u201c\u201d\u00bb]")
SPAN_END: Final = re.compile(" ?`")
ANYTHING: Final = re.compile("")
LAST: Final = re.compile("[\\s`~*\"'\u2019\u201c\u201d\u00bb]*")
"""What may follow the last thing said."""
