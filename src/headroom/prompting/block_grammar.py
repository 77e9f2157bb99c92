"""What the openings and ends of memory blocks look like, and what may stand around them."""

import itertools
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
_BODY: Final = (
    (r"\{", _SPACE, rf"(?:{_QUOTE}|[}}a-z])"),
    (r"\[", _SPACE, rf"(?:{_QUOTE}|[{{\]])"),
)
_LIST: Final = (r"\[", _SPACE)


def _openings() -> Iterable[tuple[str, ...]]:
    for outer in ((), _FENCE_LINE):
        for inner, json in itertools.product(((), _INNER_FENCE), _BODY):
            yield (*outer, *_TAG, _SPACE, *inner, *json)
        yield (*outer, *_TAG, _SPACE, *_END_TAG)


def _usual_openings() -> Iterable[tuple[str, ...]]:
    for inner, outer, key in itertools.product(((), _INNER_FENCE), ((), _LIST), _KEYS):
        yield (*_TAG, _SPACE, *inner, *outer, r"\{", _SPACE, f"{_QUOTE}?", *key)


def _beginnings(parts: tuple[str, ...]) -> str:
    """A pattern for every text that begins like one of these patterns in a row, and ends too early."""
    pattern = ""
    for part in reversed(parts):
        pattern = f"(?:{part}{pattern})?"
    return pattern


def _any(openings: Iterable[tuple[str, ...]]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{''.join(parts)})" for parts in openings), re.IGNORECASE)


def _any_begun(openings: Iterable[tuple[str, ...]]) -> re.Pattern[str]:
    return re.compile("|".join(map(_beginnings, openings)), re.IGNORECASE)


OPENING: Final = _any(_openings())
OPENING_BEGUN: Final = _any_begun(_openings())
USUAL_OPENING: Final = _any(_usual_openings())
USUAL_OPENING_BEGUN: Final = _any_begun(_usual_openings())
CANDIDATE: Final = re.compile(r"<|`{3,}|`+\Z")
TAG: Final = _any([_TAG])
CLOSING: Final = _any([_END_TAG])
ANY_TAG: Final = _any([_TAG, _END_TAG])
CLOSING_BEGUN: Final = _any_begun([_END_TAG])
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
