"""Tells whether the end of a text, which grows piece by piece, is in Markdown code."""

import re
from typing import Final

_FENCE: Final = re.compile(r"[ \t>]*(`{3,}|~{3,})([^`]*)")
_SET_APART: Final = re.compile(r" {4}| {0,3}[\t>]")
_BACKTICKS: Final = re.compile("`+")
_LONGEST_FENCE: Final = 200
"""How many characters of a line are looked at for a fence."""


class MarkdownCode:
    """Follows fenced code, which begins and ends with a line of its own, and code within a line.

    As in CommonMark (https://spec.commonmark.org/0.31.2/#fenced-code-blocks), except for spans over several
    lines, and for fences in quotations and lists, which may be indented in any way.
    """

    def __init__(self) -> None:
        self._fence = ""  # what opened the fenced code that the line is in
        self._line = ""  # the beginning of the line
        self._last = ""  # its last character
        self._runs = 0  # how many runs of backticks it has

    @property
    def fenced(self) -> bool:
        """Whether the text is in fenced code; if it ends with a fence, behind it."""
        return bool(self._fence_behind_line())

    @property
    def set_apart(self) -> bool:
        """Whether the line is indented as code is, or a quotation."""
        return bool(_SET_APART.match(self._line))

    @property
    def in_span(self) -> bool:
        """Whether a code span is open."""
        return self._runs % 2 == 1

    def feed(self, text: str) -> None:
        """Take the next piece of the text."""
        if text and "`" not in text and "\n" not in text and self._line and self._line[0] not in " \t>~`":
            self._last = text[-1]  # in the middle of a line that is no fence
            return
        for number, part in enumerate(text.split("\n")):
            if number:
                self._fence = self._fence_behind_line()
                self._line, self._last, self._runs = "", "", 0
            if part:
                self._runs += len(_BACKTICKS.findall(part)) - (self._last == part[0] == "`")
                self._line = (self._line + part)[:_LONGEST_FENCE]
                self._last = part[-1]

    def _fence_behind_line(self) -> str:
        fence = _FENCE.fullmatch(self._line)
        if fence is None:
            return self._fence
        if not self._fence:
            return fence[1]
        closes = fence[1].startswith(self._fence) and not fence[2].strip()
        return "" if closes else self._fence
