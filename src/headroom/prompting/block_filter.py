"""Takes memory blocks out of a model's answer while it streams.

What has the shape of a block, and so is one, decided from its first characters alone:

- `<memory>` (any case), then, behind white space or a code fence or at once, the beginning of a JSON object
  or list;
- not directly behind a quotation mark, a backtick or a backslash, and not inside a fenced code block: there
  it is only talked about. A fence around the block itself is the exception; it must be the last thing said.

A block ends where its JSON and its closing tag end; or its JSON alone, where no closing tag follows; or,
where the JSON is broken, with the first closing tag, or with the text. All else is the caller's, character
for character. The white space around a block goes with it, but for what must stand between the words.
"""

import itertools
import re
from collections.abc import Iterable
from typing import Final

_SPACE: Final = r"\s{0,80}"
_TAG: Final = tuple("<memory>")
_FENCE: Final = ("`", "`", "`")
_FENCE_LINE: Final = (*_FENCE, "(?:j(?:s(?:o(?:n)?)?)?)?", r"[ \t]{0,8}", r"[\r\n]", _SPACE)
_INNER_FENCE: Final = (*_FENCE, "(?:j(?:s(?:o(?:n)?)?)?)?", _SPACE)
_JSON: Final = ((r"\{", _SPACE, r"[\"'}]"), (r"\[", _SPACE, r"[{\"'\]]"))


def _openings() -> Iterable[tuple[str, ...]]:
    for outer, inner, json in itertools.product(((), _FENCE_LINE), ((), _INNER_FENCE), _JSON):
        yield (*outer, *_TAG, _SPACE, *inner, *json)


def _beginnings(parts: tuple[str, ...]) -> str:
    """A pattern for every text that begins like one of these patterns in a row, and ends too early."""
    pattern = ""
    for part in reversed(parts):
        pattern = f"(?:{part}{pattern})?"
    return pattern


_OPENING: Final = re.compile("|".join(f"(?:{''.join(parts)})" for parts in _openings()), re.IGNORECASE)
_OPENING_BEGUN: Final = re.compile("|".join(map(_beginnings, _openings())), re.IGNORECASE)
_CANDIDATE: Final = re.compile(r"<|`{3,}|`+\Z")
_CLOSING: Final = re.compile(r"</memory\s{0,8}>", re.IGNORECASE)
_CLOSING_BEGUN: Final = re.compile(_beginnings((*"</memory", r"\s{0,8}")), re.IGNORECASE)
_JSON_START: Final = re.compile(r"[{\[]")
_JSON_TOKEN: Final = re.compile(r"[\"{}\[\]<]")
_STRING_TOKEN: Final = re.compile(r"[\"\\]")
_MORE_JSON: Final = re.compile(r"[\s,;`]*\{")
_FILLER: Final = re.compile(r"[\s,;`]*")
_FENCE_END: Final = re.compile(r"\s*`*\s*")
_BACKTICKS: Final = re.compile(r"`+")

_QUOTING: Final = frozenset("\"'`\\\u2018\u201c\u00ab")
"""What stands directly before a tag that is only being talked about."""
_FENCE_LENGTH: Final = 3


class BlockFilter:
    """Splits one text, however it is cut into pieces, into what the user reads and the blocks.

    Feed it the pieces; each call returns what can be shown already. It holds back only what could still be
    the opening of a block, and white space at the end. Any way of cutting the text gives the same result.
    """

    def __init__(self) -> None:
        self.blocks: list[str] = []
        """What stood between the tags of each block removed so far."""
        self.shown: list[tuple[int, int]] = []
        """The parts of the text that were shown: (start, end) offsets, in order, apart from one another."""
        self._pending = ""
        self._position = 0  # of the first pending character in the text
        self._last = ""  # the character before it
        self._out: list[str] = []
        self._final = False  # whether nothing follows the pending text
        self._incomplete = False  # whether something should have

        self._before = (0, "")  # white space that was not shown yet: where it starts, and what it is
        self._after = (0, "")  # the same behind a block
        self._gap = False  # whether a block was removed since something was shown

        self._fence = 0  # how many backticks opened the fenced code that this is in
        self._backticks = 0  # how many of them the decided text ends with

        self._block = (
            ""  # what is read of a block: its "json", a "string", "behind" the JSON, the last "fence"
        )
        self._body = 0  # where the pending block's body starts and ends, within the pending text
        self._body_end = 0
        self._read = 0  # how far the pending block was read
        self._depth = 0
        self._fenced = False

    @property
    def decided(self) -> int:
        """Up to which offset of the text it is settled what is shown and what is not."""
        start, held = self._before if self._before[1] else self._after
        return start if held else self._position

    def feed(self, text: str) -> str:
        """Take the next piece of the text and return what can be shown now."""
        if not self._pending and not self._block and "<" not in text and "`" not in text:
            self._show(text)
        else:
            self._pending += text
            self._advance()
        return self._take()

    def finish(self, *, cut_off: bool = False) -> str:
        """End the text and return the rest of what is shown.

        A block that was cut off is removed, and so is the beginning of an opening where it stands on its own
        line or has reached the JSON; with `cut_off`, the text being known to be incomplete, in any case.
        """
        self._final, self._incomplete = True, cut_off
        self._advance()
        if not self._gap:
            self._emit(*self._before)
        self._before = self._after = (self._position, "")
        return self._take()

    def _take(self) -> str:
        out = "".join(self._out)
        self._out.clear()
        return out

    # Reading: outside of blocks, and inside

    def _advance(self) -> None:
        progress = True
        while progress and self._pending:
            progress = self._read_block() if self._block else self._read_text()

    def _read_text(self) -> bool:
        """Show the pending text up to the next block; whether one was found."""
        search = 0
        while found := _CANDIDATE.search(self._pending, search):
            start = found.start()
            opening = _OPENING.match(self._pending, start)
            if opening or _OPENING_BEGUN.fullmatch(self._pending, start):
                self._show_pending(start)
                if self._may_open(fenced=(fenced := found[0] != "<")):
                    if opening:
                        self._open(opening, fenced=fenced)
                    elif self._is_cut_opening():
                        self._remove(len(self._pending))
                    elif self._final:
                        break
                    return bool(opening)
                self._show_pending(len(found[0]))
                search = 0
            else:
                search = found.end()
        self._show_pending(len(self._pending))
        return False

    def _may_open(self, *, fenced: bool) -> bool:
        if fenced:
            return not self._fence and not self._last.strip()
        self._end_backticks()
        return not self._fence and self._last not in _QUOTING

    def _is_cut_opening(self) -> bool:
        """Whether the pending beginning of an opening is all that the text has left of a block."""
        if not self._final or "<" not in self._pending:
            return False
        tag, _, rest = self._pending[self._pending.index("<") :].partition(">")
        own_line = not self.shown or "\n" in self._before[1] + self._after[1]
        return self._incomplete or bool(rest.strip()) or (own_line and len(tag) > 1)

    def _open(self, opening: re.Match[str], *, fenced: bool) -> None:
        self._fenced = fenced
        self._body = opening[0].index(">") + 1
        json = _JSON_START.search(self._pending, self._body)
        assert json is not None  # noqa: S101 - the opening ends with it
        self._read, self._depth, self._block = json.start(), 0, "json"

    def _read_block(self) -> bool:
        """Read on in the pending block; whether it ended."""
        while self._block:
            match self._block:
                case "json":
                    moved = self._read_json()
                case "string":
                    moved = self._read_string()
                case "behind":
                    moved = self._read_behind()
                case _:
                    moved = self._read_closing_fence()
            if not moved:
                if not self._final:
                    return False
                self._cut_off()
        return True

    def _read_json(self) -> bool:
        token = _JSON_TOKEN.search(self._pending, self._read)
        if token is None:
            self._read = len(self._pending)
            return False
        if token[0] == "<":
            if closing := _CLOSING.match(self._pending, token.start()):
                self._close(closing.start(), closing.end())
                return True
            if not self._final and _CLOSING_BEGUN.fullmatch(self._pending, token.start()):
                self._read = token.start()
                return False
        elif token[0] == '"':
            self._block = "string"
        else:
            self._depth += 1 if token[0] in "{[" else -1
            if self._depth == 0:
                self._block = "behind"
        self._read = token.end()
        return True

    def _read_string(self) -> bool:
        token = _STRING_TOKEN.search(self._pending, self._read)
        if token is None:
            self._read = len(self._pending)
            return False
        if token[0] == '"':
            self._block, self._read = "json", token.end()
            return True
        if token.end() == len(self._pending):  # what the backslash escapes is still to come
            self._read = token.start()
            return False
        self._read = token.end() + 1
        return True

    def _read_behind(self) -> bool:
        if more := _MORE_JSON.match(self._pending, self._read):
            self._read, self._depth, self._block = more.end(), 1, "json"
            return True
        filler = _FILLER.match(self._pending, self._read)
        assert filler is not None  # noqa: S101 - it matches nothing at all, too
        if closing := _CLOSING.match(self._pending, filler.end()):
            self._close(self._read, closing.end())
        elif self._final or not _CLOSING_BEGUN.fullmatch(self._pending, filler.end()):
            self._close(self._read, self._read)
        else:
            return False
        return True

    def _close(self, body_end: int, end: int) -> None:
        self._body_end = body_end
        if self._fenced:
            self._read, self._block = end, "fence"
        else:
            self._remove(end)

    def _read_closing_fence(self) -> bool:
        end = _FENCE_END.match(self._pending, self._read)
        assert end is not None  # noqa: S101 - it matches nothing at all, too
        if end.end() < len(self._pending):
            # Something else was said behind the fenced code: it was an example, not a block.
            self._block = ""
            self._show_pending(self._read)
        elif self._final:
            self._remove(end.end())
        else:
            return False
        return True

    def _cut_off(self) -> None:
        """End the pending block with the text: at the first closing tag, or with all that is left."""
        closing = _CLOSING.search(self._pending, self._body)
        end = len(self._pending)
        self._close(*(closing.span() if closing else (end, end)))

    def _remove(self, end: int) -> None:
        """Take the pending block, which ends at `end`, out of the text."""
        if self._block:
            self.blocks.append(self._pending[self._body : self._body_end])
        self._last = self._pending[end - 1]
        self._position += end
        self._pending = self._pending[end:]
        self._block, self._gap, self._backticks = "", True, 0
        self._after = (self._position, "")

    # Showing

    def _show_pending(self, end: int) -> None:
        text, self._pending = self._pending[:end], self._pending[end:]
        self._show(text)

    def _show(self, text: str) -> None:
        """Settle that the next characters of the text are none of a block's."""
        if not text:
            return
        start = self._position
        self._position += len(text)
        self._last = text[-1]
        if "`" in text or self._backticks:
            self._count_backticks(text)
        if text.isspace():
            self._hold(start, text)
            return
        begin = len(text) - len(text.lstrip())
        end = len(text.rstrip())
        if begin:
            self._hold(start, text[:begin])
        if not self._gap:
            self._emit(*self._before)
        elif self.shown:
            self._emit(*(self._before if self._before[1] else self._after))
        self._emit(start + begin, text[begin:end])
        self._before, self._after = (start + end, text[end:]), (0, "")
        self._gap = False

    def _hold(self, start: int, space: str) -> None:
        held_from, held = self._after if self._gap else self._before
        joined = (held_from if held else start, held + space)
        if self._gap:
            self._after = joined
        else:
            self._before = joined

    def _emit(self, start: int, text: str) -> None:
        if not text:
            return
        self._out.append(text)
        end = start + len(text)
        if self.shown and self.shown[-1][1] == start:
            start = self.shown.pop()[0]
        self.shown.append((start, end))

    # Fenced code: opened by three backticks or more, closed by at least as many

    def _count_backticks(self, text: str) -> None:
        for run in _BACKTICKS.finditer(text):
            if run.start() > 0:
                self._end_backticks()
            self._backticks += len(run[0])
        if not text.endswith("`"):
            self._end_backticks()

    def _end_backticks(self) -> None:
        if self._backticks >= max(_FENCE_LENGTH, self._fence):
            self._fence = 0 if self._fence else self._backticks
        self._backticks = 0


def strip_blocks(text: str) -> tuple[str, list[str]]:
    """Split a whole text into what the user reads and what stood in its blocks."""
    block_filter = BlockFilter()
    return block_filter.feed(text) + block_filter.finish(), block_filter.blocks
