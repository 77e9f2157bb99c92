"""A streamed answer loses its memory blocks and nothing else, however it is cut into pieces."""

import itertools
import json
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom.prompting.block_filter import BlockFilter

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
    "fenced as XML": (f"Yes.\n\n```xml\n{BLOCK}\n```\n", "Yes.", 1),
    "fenced as XML, with more": (f"So:\n\n```xml\n{BLOCK}\n```\nThat is it.", None, 0),
    "a bare list": ('Yes. <memory>["Likes tea"]</memory>', "Yes.", 1),
    "several objects": ('Yes. <memory>{"content": "a"}\n{"content": "b"}</memory> No.', "Yes. No.", 1),
    "upper case": ('Yes. <MEMORY>{"memories": []}</MEMORY>', "Yes.", 1),
    "no closing tag": ('Yes.\n<memory>{"memories": []}\n\nMore.', "Yes.\nMore.", 1),
    "broken JSON": ('Yes. <memory>{"memories": [{"content": "a}]</memory> More.', "Yes. More.", 1),
    "a bracket too many": ('Yes. <memory>{"memories": ["a"]}}</memory> More.', "Yes. More.", 1),
    "a bracket of the wrong kind": ('Yes. <memory>{"text": "a", "x": ["m"]]}</memory> So.', "Yes. So.", 1),
    "a bracket too early": ('Yes. <memory>{"facts": ["a"]}}], "forget": ["m"]}</memory> So.', "Yes. So.", 1),
    "truncated behind a bracket too early": ('Yes. <memory>{"facts": ["a"]}], "forget": ["m', "Yes.", 1),
    "brackets behind a block without a tag": ('Yes. <memory>{"facts": []}\n[a]: "b"', 'Yes. [a]: "b"', 1),
    "plain text": ("Yes.\n\n<memory>\n- Likes tea\n- Is < 40\n</memory>\n", "Yes.", 1),
    "plain text in a line": ("Yes.\n<memory>Likes tea.</memory>", "Yes.", 1),
    "a bare string": ('Yes.\r\n<memory>"Likes tea"</memory >', "Yes.", 1),
    "JSON behind words": ('Yes.\n<memory>Noted: {"memories": ["a"]}</memory>', "Yes.", 1),
    "JSON in other code": ('Yes.\n<memory>\n```js\n{"memories": []}\n```\n</memory>', "Yes.", 1),
    "a lost bracket": ('Yes.\n<memory>"memories": ["a"]}</memory>', "Yes.", 1),
    "a bracket twice": ('Yes.\n<memory>{{"memories": ["a"]}}</memory>', "Yes.", 1),
    "a mention, then plain text": ("So.\n<memory> is it.\n<memory>Tea.</memory>", "So.\n<memory> is it.", 1),
    "a mention on a line, then a block": (f"Yes.\n<memory> is it.\n{BLOCK}", "Yes.\n<memory> is it.", 1),
    "plain text, then more": ("Yes.\n<memory>\nLikes tea\n</memory>\nSo.", None, 0),
    "plain text in a sentence": ("Yes. <memory>Likes tea.</memory>", None, 0),
    "plain text and nothing else": ("<memory>Likes tea.</memory>", None, 0),
    "plain text in code": ("Yes.\n```\n<memory>\nLikes tea\n</memory>\n```", None, 0),
    "plain text without an end": ("Yes.\n<memory>\nLikes tea\n</mem", None, 0),
    "only mentions the tag": ("Models write <memory> and `</memory>` tags.", None, 0),
    "mentions it last": ("The tag is <memory>", None, 0),
    "quotes a block": (f'It looks like `{BLOCK}` or "{BLOCK}".', None, 0),
    "code with the tag": ("```python\ntag = '<memory>'\nx = re.sub('<memory>{', '')\n```", None, 0),
    "code with a block": (f"```xml\n<a>\n{BLOCK}\n</a>\n```\nThat is it.", None, 0),
    "indented code with a block": (f"Like so:\n\n    {BLOCK}\n\nThat is it.", None, 0),
    "a block quotation with a block": (f"> {BLOCK}\n\nThat is it.", None, 0),
    "fenced in a list": (f"- Like so:\n\n      ```json\n      {BLOCK}\n      ```\n- That is it.", None, 0),
    "fenced in a quotation": (f"> ~~~\n> {BLOCK}\n> ~~~\n> That is it.", None, 0),
    "indented, and the last thing said": (f"- Tea.\n    {BLOCK}\n", "- Tea.", 1),
    "quoted as a block, and the last thing said": (f"Yes.\n\n> {BLOCK}", "Yes.\n\n>", 1),
    "behind what is indented": (f"So:\n\n    x = 1\n\n{BLOCK}\n\nMore.", "So:\n\n    x = 1\n\nMore.", 1),
    "a fenced example": (f"Like so:\n```json\n{BLOCK}\n```\nThat is it.", None, 0),
    "a template": ("<memory>{{ memory }}</memory>", None, 0),
    "code, then a block": (f"```go\nx := a<b\n```\n{BLOCK}", "```go\nx := a<b\n```", 1),
    "longer fences": (f"````md\n```\n{BLOCK}\n```\n````\nSo.", None, 0),
    "unicode": (f"Grüße, 世界 👩‍💻!\u00a0\u2028{BLOCK}", "Grüße, 世界 👩‍💻!", 1),
    "behind a quotation": (f'The motto is "carpe diem"{BLOCK}', 'The motto is "carpe diem"', 1),
    "behind a quotation, with more": (f"It is “fine”{BLOCK} So.", "It is “fine” So.", 1),
    "behind inline code": (f"Run `pip install x`{BLOCK} now.", "Run `pip install x` now.", 1),
    "behind a backslash": (f"In C:\\path\\{BLOCK}", "In C:\\path\\", 1),
    "behind backticks in a sentence": (
        f"Fences start with ``` in Markdown.\n\n{BLOCK}\nSo.",
        "Fences start with ``` in Markdown.\n\nSo.",
        1,
    ),
    "in code that was not closed": (f"```python\ncode\n\n{BLOCK}", "```python\ncode", 1),
    "truncated in code": ('```\ncode\n\n<memory>{"memories": [{"con', "```\ncode", 1),
    "last in code": (f"~~~\ncode\n{BLOCK}\n~~~\n", "~~~\ncode\n~~~\n", 1),
    "directly behind code": (f"```\ncode\n```{BLOCK}\nSo.", "```\ncode\n```\nSo.", 1),
    "quoted, and the last thing said": (f"So. `{BLOCK}`", "So. ``", 1),
    "no quotes around the key": ("Yes. <memory>{memories: [a]}</memory>", "Yes.", 1),
    "a space in the tag": ('Yes. <memory >{"memories": []}</memory >', "Yes.", 1),
    "smart quotes": ("Yes. <memory>{“memories”: [“Likes tea”]}</memory>", "Yes.", 1),
    "a space of no width": ('Yes. <memory>\u200b{"memories": []}\u200b</memory>', "Yes.", 1),
    "nothing noted": ("Yes.\n<memory>\n</memory>\n", "Yes.", 1),
    "half a closing tag": ('Yes. <memory>{"memories": []}</mem', "Yes.", 1),
    "truncated in the key": ('Yes. <memory>{"memo', "Yes.", 1),
    "other keys first": ('Yes. <memory>{"why": "new", "memories": []}</memory> So.', "Yes. So.", 1),
    "a mention, then a block": (f'The tag <memory>{{" opens it.\n{BLOCK}', 'The tag <memory>{" opens it.', 1),
    "in inline code": (f"Use `echo {BLOCK}` to test, or `` {BLOCK} `` too.", None, 0),
    "in other code": (f"~~~xml\n{BLOCK}\n~~~\nThat is it.", None, 0),
    "begun in inline code": ('It begins with `<memory>{"memories": [`; no more.', None, 0),
    "unknown keys": ('<config><memory>{"limit": "512Mi"}</memory></config>', None, 0),
    "unknown keys, and the last thing said": ('Yes.\n<memory>{"likes": ["tea"]}</memory>\n', "Yes.", 1),
    "unknown keys, unclosed": ('Set <memory>{"limit": "512Mi"} there.', None, 0),
    "a list without a closing tag": ('  return <memory>["x"]\n more', None, 0),
    "an unclosed mention": ('The tag <memory>{" opens, and `</mem` closes: more text.', None, 0),
    "the tag pair": ("Put it between <memory></memory> tags, `<memory></memory>`, as such.", None, 0),
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
    shown, bodies = stream([answer])
    assert shown == (answer if visible is None else visible)
    assert len(bodies) == blocks


@pytest.mark.parametrize("name", ANSWERS)
def test_every_split_into_two_and_three_pieces_gives_the_same(name: str) -> None:
    answer, _, _ = ANSWERS[name]
    whole = stream([answer])
    for first, second in itertools.combinations_with_replacement(range(len(answer) + 1), 2):
        assert stream([answer[:first], answer[first:second], answer[second:]]) == whole


def test_ten_thousand_random_splits_give_the_same() -> None:
    dice = random.Random(7)
    wholes = {answer: stream([answer]) for answer, _, _ in ANSWERS.values()}
    for _ in range(10_000):
        answer = dice.choice(list(wholes))
        cuts = sorted(dice.choices(range(len(answer) + 1), k=dice.randrange(1, 12)))
        pieces = [answer[start:end] for start, end in itertools.pairwise([0, *cuts, len(answer)])]
        assert stream(pieces) == wholes[answer]


FRAGMENTS = (
    "<memory>",
    "</memory>",
    '{"',
    "{",
    '"memories": ',
    "text:",
    "}",
    "[",
    "]",
    '"',
    "\\",
    "```",
    "~~~",
    "`",
    "\u200b",
    "“",
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
    assert stream(pieces) == stream([text])


@given(st.text())
def test_a_text_without_the_tag_is_left_alone(text: str) -> None:
    visible = text.replace("<m", "").replace("<M", "")
    if not visible.rstrip("mM").endswith("<"):
        assert stream([visible]) == (visible, [])


@given(st.text(alphabet=st.characters(exclude_characters="<`", exclude_categories=["Cs"])).filter(str.strip))
def test_ordinary_text_is_shown_at_once(text: str) -> None:
    assert BlockFilter().feed(text) == text.rstrip()


@pytest.mark.parametrize(
    "piece", ["H", "`x`", "a<b", "<b>", "<memory> tag", "```python", "<memory>x", "<memory>{{", "~~~"]
)
def test_what_cannot_become_a_block_is_not_held_back(piece: str) -> None:
    assert BlockFilter().feed(piece) == piece


@pytest.mark.parametrize("piece", ["<", "<mem", "<memory>", "<memory> {", "<memory>{", "```", "```json\n<"])
def test_what_could_become_a_block_is_held_back_until_it_cannot(piece: str) -> None:
    block_filter = BlockFilter()
    assert block_filter.feed(f"Yes. {piece}") == "Yes."
    assert block_filter.feed("?") == f" {piece}?"


text_without_code = st.text(alphabet=st.characters(exclude_characters="<`~", exclude_categories=["Cs"]))
CODE = ("", "`", '"', "“", "'", "\\", "`x`", "Says ``` so", "```\n", "````md\n```\n", "  ~~~ x\n", "x```y\n")
ENDS = ("", "`", "``", '"', "”", "'", "\n", "\n```", "\n````\n", "\n~~~", ' "\n```\n ')


@given(text_without_code, st.sampled_from(CODE), st.sampled_from(ENDS))
def test_a_block_that_is_the_last_thing_said_is_one_wherever_it_stands(
    text: str, before: str, behind: str
) -> None:
    shown, blocks = stream([text + before + BLOCK + behind])
    assert "memories" not in shown
    assert len(blocks) == 1


@given(
    text_without_code,
    st.sampled_from(
        [("`", "`"), ("`x ", "`"), ("\n```\n", "\n```\n"), ("\n~~~xml\n", "\n~~~\n"), ('"', '"'), ("“", "”")]
    ),
    st.characters(categories=["L", "N"]),
)
def test_a_block_that_is_talked_about_is_left_alone(text: str, around: tuple[str, str], more: str) -> None:
    answer = f"{text}{around[0]}{BLOCK}{around[1]} {more}"
    assert stream([answer]) == (answer, [])


@given(
    st.dictionaries(st.text("abcxyz_", min_size=1), st.integers() | st.text("abc {}"), min_size=1),
    text_without_code,
)
def test_an_object_of_somebody_else_is_left_alone(values: dict[str, object], text: str) -> None:
    answer = f"{text}<memory>{json.dumps(values)}</memory> So."
    assert stream([answer]) == (answer, [])


LONG = {
    "space behind the JSON": ("<memory>{}", " ", "x"),
    "commas behind the JSON": ("<memory>{}", ",", ""),
    "space behind a fence": ("```json\n<memory>{}</memory>", " ", "x"),
    "quotes behind a quotation": ('"<memory>{}</memory>', '"', "x"),
    "space": ("", " ", "x"),
    "one line": ("", "a`", ""),
    "backticks": ("", "`", "x"),
    "tags": ("", "<memory>", ""),
    "openings": ("", '<memory>{"', ""),
    "objects of somebody else": ("", '<memory>{"a": 1}</memory>', ""),
    "blocks": ("", '<memory>{"text": 1}</memory>', ""),
    "blocks behind a mention": ('<memory>{"', '<memory>{"text": 1}</memory>', ""),
    "a string": ('<memory>{"text":"', "a", ""),
    "plain text": ("So.\n<memory>", "a<", "</memory>"),
    "lines of plain text": ("So.", "\n<memory>a", ""),
    "plain text with more behind": ("So.", "\n<memory>a</memory>", ""),
}


def fastest(text: str, size: int) -> float:
    """The least seconds of processor time that it takes, of three, in pieces of this size."""
    times = []
    for _ in range(3):
        before = time.process_time()
        stream([text[start : start + size] for start in range(0, len(text), size)])
        times.append(time.process_time() - before)
    return min(times)


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("size", [4, 1_000_000])
def test_the_time_grows_with_the_text_and_not_with_its_square(name: str, size: int) -> None:
    start, middle, end = LONG[name]
    short, long = (start + middle * (length // len(middle)) + end for length in (4_000, 32_000))
    assert fastest(long, size) < 24 * max(fastest(short, size), 0.001)


def test_the_beginning_of_a_tag_is_dropped_where_the_text_is_known_to_be_cut_off() -> None:
    block_filter = BlockFilter()
    assert block_filter.feed("Use Go. <me") + block_filter.finish(cut_off=True) == "Use Go."


def test_plain_text_is_dropped_where_it_is_known_to_be_cut_off() -> None:
    block_filter = BlockFilter()
    assert block_filter.feed("Yes.\n<memory>\nLikes") + block_filter.finish(cut_off=True) == "Yes."
    assert block_filter.blocks == []


@pytest.mark.parametrize("size", [1, 7, 1_000, 4_000])
def test_plain_text_too_long_for_a_block_is_shown_while_it_streams(size: int) -> None:
    answer = f"Headers:\n<memory> has pointers, {'and so on, ' * 200}</memory>"
    block_filter = BlockFilter()
    shown = "".join(block_filter.feed(answer[start : start + size]) for start in range(0, len(answer), size))
    assert shown == answer
    assert block_filter.finish() == ""


def test_what_is_settled_grows_with_the_text() -> None:
    block_filter = BlockFilter()
    settled = []
    for piece in ("ab ", "<mem", "ory>", '["abcd"]</memory>', " \n", "c", " "):
        block_filter.feed(piece)
        settled.append(block_filter.decided)
    block_filter.finish()
    assert [*settled, block_filter.decided] == [2, 2, 2, 2, 2, 31, 31, 32]
