"""A streamed answer loses its memory blocks and nothing else, however it is cut into pieces."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom.prompting.block_filter import BlockFilter, strip_blocks

BLOCK = '<memory>{"memories": [{"content": "Says \\"</memory>\\" and {braces"}]}</memory>'

ANSWERS = {
    "no block": (
        "Use Go; it compiles\nfast, and `a < b` holds.\n",
        "Use Go; it compiles\nfast, and `a < b` holds.\n",
        0,
    ),
    "at the end": (f"Use Go.\n\n{BLOCK}", "Use Go.", 1),
    "with white space behind": (f"Use Go.\n{BLOCK}\n\n", "Use Go.", 1),
    "at the beginning": (f"{BLOCK}\n\nUse Go.", "Use Go.", 1),
    "in the middle": (f"Use\n\n{BLOCK}\n\nGo. ", "Use\n\nGo. ", 1),
    "in a word": (f"a{BLOCK}b", "ab", 1),
    "two blocks": (f"One. {BLOCK} Two.\n{BLOCK}", "One. Two.", 2),
    "nothing else": (BLOCK, "", 1),
    "truncated": ('Use Go.\n<memory>{"memories": [{"content": "Likes', "Use Go.", 1),
    "truncated in the opening": ("Use Go.\n\n<memory>\n", "Use Go.", 0),
    "truncated in the tag": ("Use Go.\n\n<memo", "Use Go.", 0),
    "fenced inside": ('Yes.\n<memory>\n```json\n{"memories": []}\n```\n</memory>', "Yes.", 1),
    "fenced outside": (f"Yes.\n\n```json\n{BLOCK}\n```\n", "Yes.", 1),
    "a bare list": ('Yes. <memory>["Likes tea"]</memory>', "Yes.", 1),
    "several objects": ('Yes. <memory>{"content": "a"}\n{"content": "b"}</memory> No.', "Yes. No.", 1),
    "upper case": ('Yes. <MEMORY>{"memories": []}</MEMORY>', "Yes.", 1),
    "no closing tag": ('Yes.\n<memory>{"memories": []}\n\nMore.', "Yes.\nMore.", 1),
    "broken JSON": ('Yes. <memory>{"memories": [{"content": "a}]</memory> More.', "Yes. More.", 1),
    "only mentions the tag": ("Models write <memory> and `</memory>` tags.", None, 0),
    "mentions it last": ("The tag is <memory>", None, 0),
    "quotes a block": (f'It looks like `{BLOCK}` or "{BLOCK}".', None, 0),
    "code with the tag": ("```python\ntag = '<memory>'\nx = re.sub('<memory>{', '')\n```", None, 0),
    "code with a block": (f"```xml\n<a>\n{BLOCK}\n</a>\n```\nThat is it.", None, 0),
    "a fenced example": (f"Like so:\n```json\n{BLOCK}\n```\nThat is it.", None, 0),
    "a template": ("<memory>{{ memory }}</memory>", None, 0),
    "code, then a block": (f"```go\nx := a<b\n```\n{BLOCK}", "```go\nx := a<b\n```", 1),
    "longer fences": (f"````md\n```\n{BLOCK}\n```\n````\nSo.", None, 0),
    "unicode": (f"Grüße, 世界 👩‍💻!\u00a0\u2028{BLOCK}", "Grüße, 世界 👩‍💻!", 1),
    "half a tag": ("a <mem b <memory c <memory>", None, 0),
}


def stream(pieces: list[str]) -> tuple[str, list[str]]:
    block_filter = BlockFilter()
    shown = "".join(map(block_filter.feed, pieces)) + block_filter.finish()
    text = "".join(pieces)
    assert "".join(text[start:end] for start, end in block_filter.shown) == shown
    return shown, block_filter.blocks


@pytest.mark.parametrize("name", ANSWERS)
def test_the_reader_sees_the_answer_without_its_blocks(name: str) -> None:
    answer, visible, blocks = ANSWERS[name]
    shown, bodies = strip_blocks(answer)
    assert shown == (answer if visible is None else visible)
    assert len(bodies) == blocks


@pytest.mark.parametrize("name", ANSWERS)
def test_every_split_into_two_and_three_pieces_gives_the_same(name: str) -> None:
    answer, _, _ = ANSWERS[name]
    whole = strip_blocks(answer)
    for first, second in itertools.combinations_with_replacement(range(len(answer) + 1), 2):
        assert stream([answer[:first], answer[first:second], answer[second:]]) == whole


def test_ten_thousand_random_splits_give_the_same() -> None:
    dice = random.Random(7)
    wholes = {answer: strip_blocks(answer) for answer, _, _ in ANSWERS.values()}
    for _ in range(10_000):
        answer = dice.choice(list(wholes))
        cuts = sorted(dice.choices(range(len(answer) + 1), k=dice.randrange(1, 12)))
        pieces = [answer[start:end] for start, end in itertools.pairwise([0, *cuts, len(answer)])]
        assert stream(pieces) == wholes[answer]


FRAGMENTS = (
    "<memory>",
    "</memory>",
    '{"',
    "}",
    "[",
    "]",
    '"',
    "\\",
    "```",
    "`",
    "json",
    "\n",
    " ",
    "a",
    "<",
    "</mem",
    "é",
)


@given(st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=5), max_size=30), st.data())
def test_any_text_in_any_pieces_is_read_the_same(fragments: list[str], data: st.DataObject) -> None:
    text = "".join(fragments)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[start:end] for start, end in itertools.pairwise([0, *cuts, len(text)])]
    assert stream(pieces) == strip_blocks(text)


@given(st.text())
def test_a_text_without_the_tag_is_left_alone(text: str) -> None:
    visible = text.replace("<m", "").replace("<M", "")
    if not visible.rstrip("mM").endswith("<"):
        assert strip_blocks(visible) == (visible, [])


@given(st.text(alphabet=st.characters(exclude_characters="<`", exclude_categories=["Cs"])).filter(str.strip))
def test_ordinary_text_is_shown_at_once(text: str) -> None:
    assert BlockFilter().feed(text) == text.rstrip()


@pytest.mark.parametrize(
    "piece", ["H", "`x`", "a<b", "<b>", "<memory> tag", "```python", "<memory>x", '"<memory>{']
)
def test_what_cannot_become_a_block_is_not_held_back(piece: str) -> None:
    assert BlockFilter().feed(piece) == piece


@pytest.mark.parametrize("piece", ["<", "<mem", "<memory>", "<memory> {", "```", "```json\n<"])
def test_what_could_become_a_block_is_held_back_until_it_cannot(piece: str) -> None:
    block_filter = BlockFilter()
    assert block_filter.feed(f"Yes. {piece}") == "Yes."
    assert block_filter.feed("?") == f" {piece}?"


def test_the_beginning_of_a_tag_is_dropped_where_the_text_is_known_to_be_cut_off() -> None:
    block_filter = BlockFilter()
    assert block_filter.feed("Use Go. <me") + block_filter.finish(cut_off=True) == "Use Go."


def test_what_is_settled_grows_with_the_text() -> None:
    block_filter = BlockFilter()
    settled = []
    for piece in ("ab ", "<mem", "ory>", '{"a": 1}</memory>', " \n", "c", " "):
        block_filter.feed(piece)
        settled.append(block_filter.decided)
    block_filter.finish()
    assert [*settled, block_filter.decided] == [2, 2, 2, 2, 2, 31, 31, 32]
