"""What the user reads of a text from which blocks are taken while it streams."""

from typing import Final

from headroom.prompting.markdown_code import MarkdownCode


class VisibleText:
    """Follows a text whose pieces are shown or removed, and settles what becomes of the white space between.

    White space is held back until something is shown behind it: what ends the text goes with a block that
    is removed there, and between the words stays what stood before the block, or else what stood behind it.
    """

    def __init__(self) -> None:
        self.parts: list[tuple[int, int]] = []
        """The parts of the text that were shown: (start, end) offsets, in order, apart from one another."""
        self.position = 0
        """How many characters of the text were shown or removed."""
        self.last = ""
        """The last of them."""
        self.code: Final = MarkdownCode()
        self._out: list[str] = []

        # White space that was not shown yet, where it starts and what it is, and the same behind a block
        self._before: tuple[int, list[str]] = (0, [])
        self._after: tuple[int, list[str]] = (0, [])
        self._gap = False  # whether a block was removed since something was shown

    @property
    def settled(self) -> int:
        """Up to which offset of the text it is settled what is shown and what is not."""
        start, held = self._before if self._before[1] else self._after
        return start if held else self.position

    @property
    def on_own_line(self) -> bool:
        """Whether what comes next begins a line, or the text."""
        return not self.parts or "\n" in "".join(self._before[1] + self._after[1])

    @property
    def on_line_behind_text(self) -> bool:
        """Whether what comes next begins a line behind something that was shown."""
        return bool(self.parts) and self.on_own_line

    def show(self, text: str) -> None:
        """Settle that the next characters of the text are none of a block's."""
        if not text:
            return
        start = self.position
        self.position += len(text)
        self.last = text[-1]
        self.code.feed(text)
        if text.isspace():
            self._hold(start, text)
            return
        begin = len(text) - len(text.lstrip())
        end = len(text.rstrip())
        if begin:
            self._hold(start, text[:begin])
        if not self._gap:
            self._emit_held(self._before)
        elif self.parts:
            self._emit_held(self._before if self._before[1] else self._after)
        self._emit(start + begin, text[begin:end])
        self._before, self._after = (start + end, [text[end:]] if end < len(text) else []), (0, [])
        self._gap = False

    def show_at_once(self, text: str) -> str:
        """What `show` and `take` do, in short for the usual piece: one that needs no cutting."""
        if not text or self._gap or text[-1].isspace():
            self.show(text)
            return self.take()
        start, held = self._before if self._before[1] else (self.position, [])
        self.position += len(text)
        self.last = text[-1]
        self.code.feed(text)
        self._before = (self.position, [])
        self._extend(start, self.position)
        return "".join([*held, text]) if held else text

    def remove(self, text: str) -> None:
        """Settle that the next characters of the text are a block's."""
        self.position += len(text)
        self.last = text[-1]
        self._gap = True
        self._after = (self.position, [])

    def take(self) -> str:
        """What became visible since the last time."""
        out = "".join(self._out)
        self._out.clear()
        return out

    def finish(self) -> str:
        """The rest of what is visible, as the text ends here."""
        if not self._gap:
            self._emit_held(self._before)
        self._before = self._after = (self.position, [])
        return self.take()

    def _hold(self, start: int, space: str) -> None:
        held = self._after if self._gap else self._before
        if held[1]:
            held[1].append(space)
        elif self._gap:
            self._after = (start, [space])
        else:
            self._before = (start, [space])

    def _emit_held(self, held: tuple[int, list[str]]) -> None:
        self._emit(held[0], "".join(held[1]))

    def _emit(self, start: int, text: str) -> None:
        if text:
            self._out.append(text)
            self._extend(start, start + len(text))

    def _extend(self, start: int, end: int) -> None:
        if self.parts and self.parts[-1][1] == start:
            start = self.parts.pop()[0]
        self.parts.append((start, end))
