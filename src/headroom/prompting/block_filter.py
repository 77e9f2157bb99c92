"""Takes memory blocks out of a model's answer while it streams.

What has the shape of a block, and so is one:

- It opens with `<memory>` (any case) and, behind white space or a code fence or at once, the beginning of a
  JSON object or list.
- The object has a key that `headroom.prompting.extraction` reads, or is empty; with other keys, it is a block
  where it is said last. A list needs no key where its closing tag, or the end of the text, follows.
- It ends where its JSON and its closing tag end, brackets too many aside; or its JSON alone, where no closing
  tag follows; or, where the JSON is broken, with the first closing tag. If the text ends before all that, the
  block ends with it, provided that it begins with such a key or the text is known to be cut off.
- It is not only talked about. That is a block in fenced or indented code or a block quotation, or fenced
  itself, or in a code span or quotation that ends directly behind it, if anything but fences and quotation
  marks follows. So what is said last is a block even in code that was never closed.

Tags around nothing are a block, too, if they are said last; and so are tags around a little plain text, if
they begin a line behind the answer, outside of code. All else is the caller's, character for character. The
white space around a block goes with it, but for what must stand between the words; so does a fence around
nothing but the block.
"""

import re
from collections.abc import Sequence
from typing import Final

from headroom.prompting import block_grammar as grammar
from headroom.prompting.visible_text import VisibleText

_PIECE: Final = 4096
_PLAIN_TEXT: Final = 2_000
"""How many characters of plain text a block has at most: they are held back until their end comes."""


class BlockFilter:
    """Splits one text, however it is cut into pieces, into what the user reads and the blocks.

    Feed it the pieces; each call returns what can be shown already. It holds back only what could still be
    a block, and white space at the end. Any way of cutting the text gives the same result.
    """

    def __init__(self) -> None:
        self.blocks: list[str] = []
        """What stood between the tags of each block removed so far."""
        self._visible = VisibleText()
        self._pending = ""
        self._final = False  # whether nothing follows the pending text
        self._incomplete = False  # whether something should have

        self._block = ""  # what is read of a block: "plain" text, "json", a "string", "behind" it, the "tail"
        self._body = 0  # where the pending block's body starts and ends, within the pending text
        self._body_end = 0
        self._end = 0  # where it ends itself
        self._read = 0  # how far it was read
        self._depth = 0
        self._fenced = False  # whether it is alone in fenced code
        self._unquoting: re.Pattern[str] | None = None  # what follows it if it is only talked about

    @property
    def shown(self) -> Sequence[tuple[int, int]]:
        """The parts of the text that were shown: (start, end) offsets, in order, apart from one another."""
        return self._visible.parts

    @property
    def decided(self) -> int:
        """Up to which offset of the text it is settled what is shown and what is not."""
        return self._visible.settled

    def feed(self, text: str) -> str:
        """Take the next piece of the text and return what can be shown now."""
        if not self._pending and "<" not in text and "`" not in text:
            return self._visible.show_at_once(text)
        # Small pieces: what is pending is copied for each block that is taken out of it.
        for start in range(0, len(text), _PIECE):
            pending, self._pending = self._pending, ""
            pending += text[start : start + _PIECE]  # in place, as nothing else refers to it
            self._pending = pending
            del pending
            self._advance()
        return self._visible.take()

    def finish(self, *, cut_off: bool = False) -> str:
        """End the text and return the rest of what is shown.

        A block that was cut off is removed, and so is the beginning of an opening where it stands on its own
        line or has reached the JSON; with `cut_off`, the text being known to be incomplete, in any case.
        """
        self._final, self._incomplete = True, cut_off
        self._advance()
        return self._visible.finish()

    def _advance(self) -> None:
        progress = True
        while progress and self._pending:
            progress = self._read_block() if self._block else self._read_text()

    def _read_text(self) -> bool:
        """Show the pending text up to the next block; whether one was found."""
        search = 0
        while found := grammar.CANDIDATE.search(self._pending, search):
            start = found.start()
            opening = grammar.OPENING.match(self._pending, start)
            if opening or grammar.OPENING_BEGUN.fullmatch(self._pending, start):
                self._show_pending(start)
                fenced = found[0] != "<"
                if not fenced or not (self._visible.code.fenced or self._visible.last.strip()):
                    if opening:
                        self._open(opening, fenced=fenced)
                    elif self._is_cut_opening():
                        self._remove(len(self._pending))
                    elif self._final:
                        break
                    return bool(opening)
                self._show_pending(len(found[0]))
                search = 0
            elif tag := grammar.TAG.match(self._pending, start):
                self._show_pending(start)
                if self._visible.on_line_behind_text and not self._visible.code.fenced:
                    self._body, self._block = len(tag[0]), "plain"
                    self._fenced, self._unquoting = False, grammar.ANYTHING
                    return True
                self._show_pending(len(tag[0]))
                search = 0
            else:
                search = found.end()
        self._show_pending(len(self._pending))
        return False

    def _is_cut_opening(self) -> bool:
        """Whether the pending beginning of an opening is all that the text has left of a block."""
        if not self._final or "<" not in self._pending:
            return False
        tag, _, rest = self._pending[self._pending.index("<") :].partition(">")
        return self._incomplete or bool(rest.strip()) or (self._visible.on_own_line and len(tag) > 1)

    def _open(self, opening: re.Match[str], *, fenced: bool) -> None:
        self._fenced = fenced
        self._body = opening[0].index(">") + 1
        empty = opening[0].endswith(">")
        code = self._visible.code
        if fenced or code.fenced or code.set_apart:
            self._unquoting = grammar.ANYTHING
        elif code.in_span:
            self._unquoting = grammar.SPAN_END
        elif self._visible.last in grammar.QUOTING:
            self._unquoting = grammar.UNQUOTING
        else:
            self._unquoting = grammar.ANYTHING if empty else None
        if empty:
            self._close(opening[0].rindex("<"), opening.end() - opening.start(), whole=True)
        else:
            json = grammar.JSON_START.search(self._pending, self._body)
            assert json is not None  # noqa: S101 - the opening ends with it
            self._read, self._depth, self._block = json.start(), 0, "json"

    def _read_block(self) -> bool:
        """Read on in the pending block; whether it ended."""
        while self._block:
            match self._block:
                case "plain":
                    moved = self._read_plain_text()
                case "json":
                    moved = self._read_json()
                case "string":
                    moved = self._read_string()
                case "behind":
                    moved = self._read_behind()
                case _:
                    moved = self._read_tail()
            if not moved:
                if not self._final:
                    return False
                self._cut_off()
        return True

    def _read_plain_text(self) -> bool:
        longest = self._body + _PLAIN_TEXT
        tag = grammar.ANY_TAG.search(self._pending, self._body, longest)
        if tag and grammar.CLOSING.match(tag[0]):
            self._await_tail(tag.start(), tag.end())
        elif tag:
            self._show_pending(tag.start())
        elif len(self._pending) >= longest:
            self._show_pending(self._body)
        else:
            return False
        return True

    def _read_json(self) -> bool:
        token = grammar.JSON_TOKEN.search(self._pending, self._read)
        if token is None:
            self._read = len(self._pending)
            return False
        if token[0] == "<":
            if closing := grammar.CLOSING.match(self._pending, token.start()):
                self._close(closing.start(), closing.end(), whole=True)
                return True
            if not self._final and grammar.CLOSING_BEGUN.fullmatch(self._pending, token.start()):
                self._read = token.start()
                return False
        elif token[0] == '"':
            self._block = "string"
        else:
            self._depth += 1 if token[0] in "{[" else -1
            if self._depth <= 0:
                self._block, self._body_end = "behind", token.end()
        self._read = token.end()
        return True

    def _read_string(self) -> bool:
        token = grammar.STRING_TOKEN.search(self._pending, self._read)
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
        behind = grammar.BEHIND_JSON.match(self._pending, self._read)
        assert behind is not None  # noqa: S101 - it matches nothing at all, too
        self._read = behind.end()
        if self._read == len(self._pending) and not self._final:
            return False
        if self._pending.startswith("{", self._read) or self._goes_on():
            self._block, self._depth = "json", 0
        elif closing := grammar.CLOSING.match(self._pending, self._read):
            self._close(self._body_end, closing.end(), whole=True)
        elif not grammar.CLOSING_BEGUN.fullmatch(self._pending, self._read):
            self._close(self._body_end, self._body_end, whole=False)
        elif self._final:
            self._close(self._body_end, len(self._pending), whole=True)
        else:
            return False
        return True

    def _goes_on(self) -> bool:
        """Whether a bracket too many or too early only made it seem that the JSON has ended."""
        next_token = grammar.GOES_ON.match(self._pending, self._read)
        return bool(next_token and grammar.GOING_ON.search(self._pending, self._body_end, self._read))

    def _close(self, body_end: int, end: int, *, whole: bool) -> None:
        """End the pending block, if that is what it is; `whole` with its tag, or with the text."""
        body = self._pending[self._body : body_end]
        if self._show_mention(end):
            return
        if not (grammar.KEY.search(body) or (whole and grammar.LIST_OR_NOTHING.match(body))):
            if not (whole and grammar.ANY_KEY.match(body)):
                self._show_pending(end)
                return
            self._unquoting = grammar.ANYTHING
        self._await_tail(body_end, end)

    def _await_tail(self, body_end: int, end: int) -> None:
        self._body_end, self._end, self._read, self._block = body_end, end, end, "tail"

    def _show_mention(self, end: int) -> bool:
        """Show what is pending up to where a block begins as they usually do, if that is further on."""
        usual = grammar.USUAL_OPENING.search(self._pending, 0, end)
        if usual and usual.start() > self._pending.index("<"):
            self._show_pending(usual.start())
            return True
        return False

    def _read_tail(self) -> bool:
        """Find out from what follows the block whether it is only talked about."""
        if self._unquoting is None:
            self._remove(self._end)
            return True
        if not self._unquoting.match(self._pending, self._end):
            if not self._final and self._pending[self._end :] in {"", " "}:
                return False
            self._remove(self._end)
            return True
        last = grammar.LAST.match(self._pending, self._read)
        assert last is not None  # noqa: S101 - it matches nothing at all, too
        self._read = last.end()
        if self._read < len(self._pending):
            self._show_pending(self._end)
        elif self._final:
            self._remove(self._read if self._fenced else self._end)
        else:
            return False
        return True

    def _cut_off(self) -> None:
        """Settle, at the end of the text, what became of a block that did not end."""
        end = len(self._pending)
        if self._block == "plain":
            if self._incomplete:
                self._block = ""  # half a sentence is no note
                self._remove(end)
            else:
                self._show_pending(self._body)
            return
        if self._show_mention(end):
            return
        tag = self._pending.index("<")
        usual = grammar.USUAL_OPENING.match(self._pending, tag)
        usual = usual or grammar.USUAL_OPENING_BEGUN.fullmatch(self._pending, tag)
        in_code = self._unquoting and "`" in grammar.JSON_START.split(self._pending[self._body :], 1)[1]
        if closing := grammar.CLOSING.search(self._pending, self._body):
            self._close(*closing.span(), whole=True)
        elif (usual or self._incomplete) and not in_code:
            self._body_end = end
            self._remove(end)
        else:
            self._show_pending(end)

    def _remove(self, end: int) -> None:
        """Take the pending block, which ends at `end`, out of the text."""
        if self._block:
            self.blocks.append(self._pending[self._body : self._body_end])
        self._visible.remove(self._pending[:end])
        self._pending = self._pending[end:]
        self._block = ""

    def _show_pending(self, end: int) -> None:
        text, self._pending = self._pending[:end], self._pending[end:]
        self._block = ""
        self._visible.show(text)
