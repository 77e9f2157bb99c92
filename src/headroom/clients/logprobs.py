"""Keeps the tokens of an answer in step with its text, of which a filter takes parts away."""

import codecs
from collections import deque
from collections.abc import Sequence

from headroom.clients.shapes import Json, get
from headroom.prompting.block_filter import BlockFilter


class TokenFilter:
    """Keeps the tokens of which something is shown, and releases them with their text."""

    def __init__(self, text_filter: BlockFilter) -> None:
        self._text = text_filter
        self._tokens: deque[tuple[int, int, Json]] = deque()
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._end = 0

    def feed(self, tokens: Sequence[Json]) -> list[Json]:
        """Take the tokens of the piece that the filter was fed last; return those to be shown now."""
        for token in tokens:
            start = self._end
            self._end += len(self._decoder.decode(_bytes(token)))
            # A token that is only a part of a character belongs to that character.
            self._tokens.append((start, max(self._end, start + 1), token))
        return self._release(self._text.decided)

    def finish(self) -> list[Json]:
        """The rest of the tokens to be shown."""
        return self._release(self._end + 1)

    def _release(self, decided: int) -> list[Json]:
        shown = []
        while self._tokens and self._tokens[0][1] <= decided:
            start, end, token = self._tokens.popleft()
            if any(start < until and since < end for since, until in reversed(self._text.shown)):
                shown.append(token)
        return shown


def _bytes(token: Json) -> bytes:
    encoded = get(token, "bytes")
    return bytes(encoded) if isinstance(encoded, list) else str(get(token, "token", "")).encode()
