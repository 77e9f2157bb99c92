"""Full text: all of the words, whatever their form, and nothing of what a user types is syntax."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_material import NOW, PATIENT, add, memory, successor, supersede

from headroom.memory import MemoryFilter
from headroom.memory.stores.base import MemoryStore


def search(store: MemoryStore, text: str, user_id: str = "alice") -> list[str]:
    return [each.content for each in store.query(MemoryFilter(user_id=user_id, text=text), NOW)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("deploy", ["Deploys on Fridays", "Deployed the API on Monday"]),
        ("DEPLOYING api", ["Deployed the API on Monday"]),
        ("monday deployed", ["Deployed the API on Monday"]),
        ("deploy tuesday", []),
        ("cafe", ["Meets at the Café Zoë"]),
        ("ZOË", ["Meets at the Café Zoë"]),
        ("snake_case", ["Prefers snake_case names"]),
        ("東京", ["住んでいるのは 東京 です"]),
    ],
)
def test_all_of_the_words_in_any_form_and_order(store: MemoryStore, text: str, found: list[str]) -> None:
    add(
        store,
        memory("Deploys on Fridays"),
        memory("Deployed the API on Monday"),
        memory("Meets at the Café Zoë"),
        memory("Prefers snake_case names"),
        memory("住んでいるのは 東京 です"),
        memory("Deploys the API", "bob"),
    )

    assert search(store, text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("日本語", ["私は日本語とPythonを勉強中", "「日本語」、英語"]),
        ("英語 日本語", ["「日本語」、英語"]),
        ("日本語、英語。", ["「日本語」、英語"]),
        ("「英語」", ["「日本語」、英語"]),
        ("日語", []),
        ("語と日", []),
        ("日本語とpython", ["私は日本語とPythonを勉強中"]),
        ("葛飾", ["葛\U000e0100飾のカフェ cafés"]),
        ("葛\U000e0101飾 cafe", ["葛\U000e0100飾のカフェ cafés"]),
        ("\uff76\uff8c\uff6a", ["葛\U000e0100飾のカフェ cafés"]),
        ("葛飾 tea", []),
        ("ข้าวผัด", ["ฉันชอบกินข้าวผัดกับน้ำ"]),
        ("น้\u0e4dา กิน", ["ฉันชอบกินข้าวผัดกับน้ำ"]),
        ("ข้าวต้ม", []),
        ("ខ្មែរ", ["ខ្ញុំរៀនភាសាខ្មែរ"]),
        ("မြန်မာ", ["ကျွန်တော်မြန်မာစာသင်တယ်"]),
        ("ລາວ", ["ຂ້ອຍຮຽນພາສາລາວ"]),
    ],
)
def test_where_no_spaces_are_written_words_are_found_within_the_text(
    store: MemoryStore, text: str, found: list[str]
) -> None:
    add(
        store,
        memory("私は日本語とPythonを勉強中"),
        memory("「日本語」、英語"),
        memory("葛\U000e0100飾のカフェ cafés"),
        memory("ฉันชอบกินข้าวผัดกับน้ำ"),
        memory("ខ្ញុំរៀនភាសាខ្មែរ"),
        memory("ကျွန်တော်မြန်မာစာသင်တယ်"),
        memory("ຂ້ອຍຮຽນພາສາລາວ"),
        memory("Drinks tea"),
        memory("日本語 英語 葛飾 カフェ", "bob"),
    )

    assert search(store, text) == found


@pytest.mark.parametrize(
    "text", ["本%", "%本%", "_本", "本*", '"本', "本'", "本\\", "(本", "-本", "本 OR 猫", "本・"]
)
def test_nor_is_anything_syntax_where_no_spaces_are_written(store: MemoryStore, text: str) -> None:
    add(store, memory("日本語"), memory("猫"))

    assert search(store, text) == ([] if "猫" in text else ["日本語"])


@settings(PATIENT)
@given(st.text("日本語東京がパをーกขคไា", min_size=1, max_size=20), st.data())
def test_every_part_of_a_text_without_spaces_finds_it(
    store: MemoryStore, text: str, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    (stored,) = add(store, memory(f"Café {text}です"))

    assert stored.content in search(store, f"{text[start:end]} café")


def test_words_without_spaces_may_be_as_many_as_one_likes(store: MemoryStore) -> None:
    add(store, memory("日本語"), memory("日曜日"))

    assert search(store, "日 本語 " * 50_000) == ["日本語"]


@pytest.mark.parametrize(
    "text",
    [
        '"',
        '""',
        '"tea',
        'tea"',
        "tea*",
        "^tea",
        "content:tea",
        "tea NEAR coffee",
        "NEAR( tea coffee )",
        "tea NOT coffee",
        "(tea",
        "tea AND",
        "{content} : tea",
        "tea + coffee",
        "-tea",
        "tea\0coffee",
        "'; DROP TABLE memories; --",
    ],
)
def test_what_looks_like_syntax_is_words(store: MemoryStore, text: str) -> None:
    add(store, memory("Drinks tea"), memory("near and not drop table memories, tea and coffee"))
    words = [word.lower() for word in "".join(c if c.isalnum() else " " for c in text).split()]

    expected = [
        each
        for each in ("Drinks tea", "near and not drop table memories, tea and coffee")
        if all(word in each for word in words)
    ]

    assert search(store, text) == ([] if "content" in words else expected)


@settings(PATIENT)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_no_text_is_an_error(store: MemoryStore, text: str) -> None:
    add(store, memory("Drinks tea"))

    search(store, text)


@pytest.mark.parametrize("text", ["", "   ", "?!", "\0"])
def test_a_text_without_words_is_no_condition(store: MemoryStore, text: str) -> None:
    add(store, memory("Drinks tea"))

    assert search(store, text) == ["Drinks tea"]


def test_each_user_finds_their_own(store: MemoryStore) -> None:
    for user in ("alice", "bob", "carol"):
        add(store, memory("Drinks tea", user), memory(f"{user} rides", user))

    assert search(store, "tea", "bob") == ["Drinks tea"]
    assert search(store, "alice", "bob") == []
    assert search(store, "tea", "nobody") == []


def test_what_was_removed_or_superseded_is_not_found(store: MemoryStore) -> None:
    old, other = memory("Drinks tea"), memory("Hates tea")
    add(store, old, other)
    supersede(store, old, successor(old, "Drinks coffee"))
    store.delete([other.id])

    assert search(store, "tea") == []
    assert search(store, "coffee") == ["Drinks coffee"]
    assert [
        e.content
        for e in store.query(MemoryFilter(user_id="alice", text="tea", include_superseded=True), NOW)
    ] == ["Drinks tea"]
