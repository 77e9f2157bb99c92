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
