"""What ranking knows of a text."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom.memory.lexical import Lexemes, analyse, analyse_query


def terms(text: str) -> set[int]:
    return set(analyse(text).terms.tolist())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("migrating", "migration"),
        ("Painting", "PAINTED"),
        ("café", "cafe"),
        ("Ana’s dog", "ana dogs"),  # noqa: RUF001 - typographic, as phones write it
        ("O'Brien", "o’brien"),  # noqa: RUF001
        ("naïve Straße", "naive strasse"),
        ("the dog and a cat", "dog, cat!"),
        ("東京", "京 東"),
    ],
)
def test_spelling_and_grammar_do_not_matter(one: str, other: str) -> None:
    assert terms(one) == terms(other)


@pytest.mark.parametrize(
    ("one", "other"), [("C", "C++"), ("C++", "C#"), ("Python", "Java"), ("か", "が"), ("2023", "2024")]
)
def test_different_things_stay_different(one: str, other: str) -> None:
    assert terms(one).isdisjoint(terms(other))


def test_stop_words_are_no_terms() -> None:
    assert not terms("What is it that you would have been doing there?")


def test_a_repeated_word_is_one_term() -> None:
    assert analyse("tea, tea and more tea").terms.tolist() == analyse("tea more").terms.tolist()


def test_entities_are_terms_but_not_the_subject() -> None:
    found = analyse("It uses React", entities=["Project Apollo"])

    assert set(found.terms.tolist()) == terms("uses React project Apollo")
    assert found.subject == analyse("uses").subject


def test_the_subject_is_the_first_word_that_says_something() -> None:
    assert analyse("The Sarah we know leads the team").subject in terms("Sarah")
    assert analyse("Sarah: I lead the team").subject in terms("Sarah")
    assert analyse("it is what it is").subject == 0


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("\u0645\u0646 \u0623\u0646\u062a\u061f", True),
        ("Do you like it?", True),
        ("Did you paint it? (a photo of a sunrise)", True),
        ("好きですか？", True),  # noqa: RUF001 - full width
        ("Do you? I do.", False),
        ("I do (do you?)", False),
        ("?", True),
        ("", False),
    ],
)
def test_a_question_is_told_by_its_end(text: str, *, asks: bool) -> None:
    assert analyse(text).asks is asks


@pytest.mark.parametrize(
    ("text", "dated"),
    [
        ("I signed up yesterday", True),
        ("We met on Friday", True),
        ("Moved to Berlin in 2021", True),
        ("Last year was better", True),
        ("It may rain", False),
        ("I like swimming", False),
        ("Costs 2,000 euros, code 12023", False),
    ],
)
def test_a_text_that_says_when_is_dated(text: str, *, dated: bool) -> None:
    assert analyse(text).dated is dated


@pytest.mark.parametrize(
    ("text", "asks"),
    [("When did we meet?", True), ("How long have I lived here?", True), ("Which dish do I like?", False)],
)
def test_a_query_for_a_time_is_recognised(text: str, *, asks: bool) -> None:
    assert analyse_query(text).asks_for_time is asks


def test_queries_and_memories_share_their_terms() -> None:
    assert analyse_query("Who paints sunrises?").terms.tolist() == analyse("painted a sunrise").terms.tolist()


@given(st.text(), st.lists(st.text(), max_size=3))
def test_any_text_can_be_analysed(text: str, entities: list[str]) -> None:
    found = analyse(text, entities)

    assert isinstance(found, Lexemes)
    assert found.terms.dtype == np.uint32
    assert len(set(found.terms.tolist())) == len(found.terms)
    assert found.subject == 0 or found.subject == found.terms[0]
    assert -(2**63) <= found.wording < 2**63
    assert found.wording != 0
    assert set(analyse_query(text).terms.tolist()) <= set(found.terms.tolist())


@given(st.text(st.characters(categories=["Cs", "Ll"]), min_size=1))
def test_half_a_surrogate_pair_is_no_trouble(text: str) -> None:
    assert len(analyse(text).terms) <= len(text)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Prefers Python", "User prefers  python.", True),
        ("The user's cat is grey", "user's cat is grey!", True),
        ("Is vegan", "Is not vegan", False),
        ("Works at Google", "Worked at Google", False),
        ("Chose MySQL over PostgreSQL", "Chose PostgreSQL over MySQL", False),
        ("Likes tea", "likes TEA.", True),
        ("Likes tea", "Likes green tea", False),
        ("🙂", "🙃", False),
        ("Budget is $500", "Budget is €500", False),
        ("Allergic to nuts: ✅", "Allergic to nuts: ❌", False),
        ("Offset is -5", "Offset is 5", False),
        ("x = 3", "x != 3", False),
        ("Uses A/B", "Uses A&B", False),
        ("Vitamin A daily", "Vitamin daily", False),
        ("Is an admin user", "Is an admin", False),
        ("Likes The Who", "Likes who", False),
        ("Thích bò", "Thích bơ", False),
        ("बेटा दिल्ली में है", "बेटी दिल्ली में है", False),
        ("The user’s cat is grey", "user's cat is grey", True),  # noqa: RUF001 - typographic
    ],
)
def test_wording_tells_copies_from_statements_that_look_alike(one: str, other: str, *, same: bool) -> None:
    assert (analyse(one).wording == analyse(other, ["Ada"]).wording) is same
