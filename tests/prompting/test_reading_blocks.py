"""What a model noted in its block is read as far as it makes sense; nothing it writes is an error."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom.memory.model import MemoryCategory, ScopeLevel
from headroom.prompting.extraction import MAX_ITEMS, ExtractedMemory, Extraction, read_block


def contents(body: str) -> list[str]:
    return [memory.content for memory in read_block(body).memories]


def test_the_canonical_form() -> None:
    body = (
        '{"memories": [{"content": "Prefers Python for backend work", "category": "preference",'
        ' "importance": 0.8, "scope": "session", "replaces": "m2"}], "forget": ["m3"]}'
    )
    assert read_block(body) == Extraction(
        [
            ExtractedMemory(
                "Prefers Python for backend work", MemoryCategory.PREFERENCE, 0.8, ScopeLevel.SESSION, "m2"
            )
        ],
        ["m3"],
    )


def test_only_the_content_is_needed() -> None:
    assert read_block('{"memories": [{"content": "Likes tea"}]}') == Extraction(
        [ExtractedMemory("Likes tea")]
    )


@pytest.mark.parametrize(
    "body",
    [
        '["Likes tea"]',
        '{"memories": ["Likes tea"]}',
        '{"memories": "Likes tea"}',
        '{"memories": {"content": "Likes tea"}}',
        '{"content": "Likes tea"}',
        '{"memory": "Likes tea"}',
        '{"memory": {"text": "Likes tea"}}',
        '```json\n{"memories": [{"content": "Likes tea"}]}\n```',
        '```\n["Likes tea"]\n```',
        '{"memories": [{"content": "Likes tea",},],}',
        '{"memories": [{"content": "Likes tea"}',
        '{"memories": [{"content": "Likes tea"}, {"content": "Likes co',
        '{"memories": [{"content": "Likes tea"}, {"content": "Likes coffee", "scope": "sess',
        '{"memories": [{"content": "Likes tea"}], "forget": ["m',
        "{'memories': [{'content': 'Likes tea'}]}",
        "{memories: [{content: Likes tea, importance: 0.5}]}",
        "{“memories”: [{“content”: “Likes tea”, “importance”: 0.5}]}",
        '{"Memories": [{"Content": "Likes tea"}]}',
        '{"memories": [{"content": "  Likes\\n tea "}]}',
        '{"memories": [{"content": "Likes\ntea"}]}',
        '{"memories": [[{"content": "Likes tea"}]]}',
        '{"memories": [{"content": "Likes tea", "importance": }]}',
        '{"memories": [{"content": "Likes tea" "category": "fact"}',
    ],
)
def test_sloppy_forms_are_read(body: str) -> None:
    assert contents(body)[:1] in (["Likes tea"], ['Likes tea" "category'])
    assert len(contents(body)) == 1


@pytest.mark.parametrize(
    "body",
    [
        "Likes tea\nIs 40",
        "\n  - Likes tea\r\n\n  - Is 40\n",
        "* Likes tea\n* Is 40",
        "\u2022 Likes tea\n\u2022 Is 40",
        "1. Likes tea\n2) Is 40",
        '"Likes tea",\n"Is 40"',
        "```\nLikes tea\nIs 40\n```",
        "Likes \ud83dtea\nIs 40",
    ],
)
def test_each_line_of_plain_text_is_a_memory(body: str) -> None:
    assert contents(body) == ["Likes tea", "Is 40"]


@pytest.mark.parametrize("body", ['"memories": ["a1"]}', '{{"memories": ["a1"]}}', 'Noted:\n["a1"]\nSo.'])
def test_beside_json_words_are_no_memories(body: str) -> None:
    assert contents(body) == ["a1"]


@pytest.mark.parametrize(
    "body", ["None.", "(none)", "No new memories.", "Nothing new to remember", "no new information", "null"]
)
def test_that_there_is_nothing_new_is_no_memory(body: str) -> None:
    assert contents(body) == contents(json.dumps([body])) == []


def test_a_handle_is_no_memory() -> None:
    assert contents('{"memories": ["a1", "[m2]", {"content": "m3"}]}') == ["a1"]


def test_a_comma_may_be_missing() -> None:
    assert contents('{"content": "Says \\"no\\"" "category": "fact"}') == ['Says "no"']
    assert contents('{"content": "Likes "X" "Y" most"}') == ['Likes "X" "Y" most']


@pytest.mark.parametrize("body", ["No sugar", "Nothing scares her", "Null Island is where she lives"])
def test_what_only_begins_like_nothing_is_a_memory(body: str) -> None:
    assert contents(body) == [body]


def test_several_objects_in_a_row() -> None:
    assert contents('{"content": "a1"}\n{"content": "b2"}') == ["a1", "b2"]


@pytest.mark.parametrize(
    "item",
    [
        "3",
        "null",
        "true",
        '""',
        '"..."',
        '"none"',
        "{}",
        '{"content": 5}',
        '{"content": "…"}',
        '{"text": []}',
    ],
)
def test_an_item_that_makes_no_sense_is_dropped_alone(item: str) -> None:
    assert contents(f'{{"memories": ["a1", {item}, {{"content": "b2"}}]}}') == ["a1", "b2"]


def test_an_item_with_broken_syntax_is_dropped_alone() -> None:
    assert contents('{"memories": ["a1", {"content" : , {"b": ], "c3"]}')[0] == "a1"
    assert contents('{"memories": [{"content": "a1"}, {"": }, {"content": "b2"}]}') == ["a1", "b2"]


def test_quotes_that_were_not_escaped() -> None:
    assert contents('{"memories": [{"content": "Calls it "the monolith" at work", "importance": 0.5}]}') == [
        'Calls it "the monolith" at work'
    ]
    assert contents("{'content': 'User's dog is called Rex'}") == ["User's dog is called Rex"]


@pytest.mark.parametrize(
    ("written", "category"),
    [
        ('"FACT"', MemoryCategory.FACT),
        ('"Preferences"', MemoryCategory.PREFERENCE),
        ('"entities"', MemoryCategory.ENTITY),
        ('"hobby"', None),
        ("7", None),
        ("null", None),
    ],
)
def test_a_category_is_one_of_the_six_or_none(written: str, category: MemoryCategory | None) -> None:
    assert read_block(f'[{{"content": "a1", "category": {written}}}]').memories[0].category is category


@pytest.mark.parametrize(
    ("written", "importance"),
    [("0.3", 0.3), ('"0.9"', 0.9), ("7", 1.0), ("-1", 0.0), ("1e999", 1.0), ("NaN", None), ("true", None),
     ('"high"', None), ("[1]", None), ("null", None), ("9" * 4000, None)],
)  # fmt: skip
def test_an_importance_lies_between_0_and_1_or_is_unknown(written: str, importance: float | None) -> None:
    assert read_block(f'[{{"content": "a1", "importance": {written}}}]').memories[0].importance == importance


@pytest.mark.parametrize("written", ['"m2"', '"M2"', '"[m2]"', '"2"', "2", '" m02 "'])
def test_handles(written: str) -> None:
    extraction = read_block(
        f'{{"memories": [{{"content": "a1", "replaces": {written}}}], "forget": {written}}}'
    )
    assert extraction.memories[0].replaces == "m2"
    assert extraction.forget == ["m2"]


@pytest.mark.parametrize("written", ['"the second"', "true", "{}", '"m"', '"m99999"', "1.5"])
def test_what_is_no_handle_replaces_and_forgets_nothing(written: str) -> None:
    extraction = read_block(
        f'{{"memories": [{{"content": "a1", "replaces": {written}}}], "forget": [{written}]}}'
    )
    assert extraction.memories[0].replaces is None
    assert extraction.forget == []
    assert extraction.unreadable == 1


def test_a_scope_is_user_or_session_or_unsaid() -> None:
    items = [{"content": f"{scope} x", "scope": scope} for scope in ("user", "Session", "turn", 3, None)]
    levels = [memory.level for memory in read_block(json.dumps(items)).memories]
    assert levels == [ScopeLevel.USER, ScopeLevel.SESSION, None, None, None]


def test_half_a_surrogate_pair_is_left_out() -> None:
    assert contents(r'["Likes \ud83d tea"]') == ["Likes tea"]


def test_a_flood_is_cut_short() -> None:
    extraction = read_block(json.dumps({"memories": [f"fact {n}" for n in range(1000)]}))
    assert len(extraction.memories) == MAX_ITEMS


def test_a_flood_of_nonsense_is_counted_no_further() -> None:
    assert read_block(json.dumps({"memories": [1] * 1000, "forget": [True] * 1000})).unreadable == MAX_ITEMS


@pytest.mark.parametrize(
    "body", ["[" * 100_000, '{"a":' * 100_000, '"' * 100_000, "'a" * 100_000, "]}" * 100_000]
)
def test_nonsense_of_any_depth_is_read_in_no_time(body: str) -> None:
    assert read_block(body).memories == []


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["memories", "content", "category", "importance", "scope", "replaces", "forget", "memory"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(json_values.map(json.dumps) | st.text() | st.text(alphabet="{}[]\",:'\\ \nabm2"), st.integers(0, 400))
def test_nothing_a_model_writes_is_an_error(body: str, length: int) -> None:
    extraction = read_block(body[:length])
    for memory in extraction.memories:
        assert memory.content.strip() == memory.content != ""
        assert memory.importance is None or 0 <= memory.importance <= 1


words = st.text(
    alphabet=st.characters(categories=["L", "N", "P", "Zs"], exclude_characters="\x00"), max_size=40
)


@given(st.lists(words.map("Likes {}".format), max_size=10))
def test_valid_json_is_read_as_json_is(texts: list[str]) -> None:
    body = json.dumps({"memories": [{"content": text, "importance": 0.5} for text in texts]})
    assert contents(body) == [" ".join(text.split()) for text in texts]
