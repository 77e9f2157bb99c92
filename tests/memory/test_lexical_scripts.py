"""Words stay whole in every script, and in those that this was always so in they are what they ever were."""

import re
import unicodedata
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snowballstemmer.english_stemmer import EnglishStemmer  # type: ignore[import-untyped] # it has no types

from headroom.memory.lexical import STOP_WORDS, analyse

WORDS = [
    "हिन्दी", "বাংলা", "ਪੰਜਾਬੀ", "ગુજરાતી", "ଓଡ଼ିଆ", "தமிழ்", "తెలుగు", "ಕನ್ನಡ", "മലയാളം", "සිංහල", "བོད",
    "ދިވެހި", "አማርኛ", "ᠮᠣᠩᠭᠣᠯ", "ᜆᜄᜎᜓᜄ᜔", "ꯃꯤꯇꯩꯂꯣꯟ", "𑄌𑄋𑄴𑄟𑄳𑄦", "עִבְרִית", "עברית", "اَلْعَرَبِيَّةُ", "العربية", "اردو",
]  # fmt: skip
UNSPACED = [
    ("ภาษาไทยน้ำ", "ภ า ษ า ไ ท ย น้ํ า"),
    ("ພາສາລາວ", "ພ າ ສ າ ລ າ ວ"),
    ("ភាសាខ្មែរ", "ភា សា ខ្ មែ រ"),
    ("မြန်မာဘာသာ", "မြ န် မာ ဘာ သာ"),
    ("日本語のテスト", "日 本 語 の テ ス ト"),
]
UNCHANGED = [
    (0x00, 0x52F), (0x1100, 0x11FF), (0x1DC0, 0x200B), (0x2010, 0x2BFF), (0x2DE0, 0x30FF), (0x3130, 0x9FFF),
    (0xA640, 0xA69F), (0xAC00, 0xD7AF), (0xF900, 0xFAFF), (0xFE20, 0xFE4F), (0xFF00, 0xFFEF),
    (0x1F000, 0x1FFFF),
]  # fmt: skip
"""Latin, Greek, Cyrillic, Chinese, Japanese and Korean, with symbols, pictures and every mark upon them."""


def terms(text: str) -> list[int]:
    return analyse(text).terms.tolist()


def terms_of_old(text: str) -> list[int]:
    """What schema version 3 took for the terms of a text, whatever its script."""
    letters = unicodedata.normalize("NFKD", text.replace("\u2019", "'").casefold())
    letters = unicodedata.normalize("NFC", re.sub("[\u0300-\u036f]", "", letters))
    unspaced = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    found = re.findall(rf"[{unspaced}]|[^\W_{unspaced}]+(?:'[^\W_]+|\+\+|\#)?", letters)
    words = [word for each in found if (word := each.removesuffix("'s")) not in STOP_WORDS]
    stems = [EnglishStemmer().stemWord(word) if len(word) <= 40 else word for word in words]
    return list(dict.fromkeys(zlib.crc32(stem.encode("utf-8", "surrogatepass")) for stem in stems))


@pytest.mark.parametrize("word", WORDS)
def test_a_word_with_its_vowel_signs_is_one_term(word: str) -> None:
    assert len(terms(word)) == 1
    assert terms(f"({word}, {word}।) {word}_{word}؟") == terms(word)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("बेटा", "बेटी"),
        ("हिन्दू", "हिन्दी"),
        ("দিন", "দান"),
        ("கல்", "கால்"),
        ("తాత", "తోట"),
        ("ފަސް", "ފުސް"),
        ("ที", "ที่"),
        ("ကု", "ကူ"),
        ("سأل", "سال"),
    ],
)
def test_a_sign_tells_words_apart(one: str, other: str) -> None:
    assert set(terms(one)).isdisjoint(terms(other))


@pytest.mark.parametrize(
    ("pointed", "plain"),
    [
        ("שָׁלוֹם", "שלום"),
        ("בֵּית־סֵפֶר", "בית ספר"),
        ("צָ'אנְס", "צ'אנס"),
        ("كِتَابٌ", "كتاب"),
        ("أَكَّدَ", "أكد"),
        ("هٰذَا", "هذا"),
    ],
)
def test_points_that_are_seldom_written_do_not_matter(pointed: str, plain: str) -> None:
    assert terms(pointed) == terms(plain)


@pytest.mark.parametrize(("text", "characters"), UNSPACED)
def test_without_spaces_each_character_with_its_marks_is_a_term(text: str, characters: str) -> None:
    assert terms(text) == terms(characters)
    assert len(terms(text)) == len(set(characters.split()))


def test_between_characters_without_spaces_words_and_numbers_stay_whole() -> None:
    assert terms("ปี๒๕๖๗") == terms("ปี ๒๕๖๗")
    assert len(terms("๒๕๖๗")) == 1
    assert terms("ใช้Python3ค่ะ") == terms("ใ ช้ python3 ค่ ะ")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ශ්\u200dරී", "ශ්රී"),
        ("র\u200d্যাম", "র্যাম"),
        ("ന\u0d4d\u200d", "ന\u0d4d"),
        ("क्\u200cष", "क्ष"),
        ("ប៊\u200cី", "ប៊ី"),
        ("က\ufe00ံ", "ကံ"),
        ("葛\U000e0100飾", "葛飾"),
    ],
)
def test_how_characters_are_to_be_drawn_does_not_matter(one: str, other: str) -> None:
    assert terms(one) == terms(other)


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
@given(text=st.text(st.characters(min_codepoint=0x590, max_codepoint=0x1AFF), max_size=20))
def test_it_does_not_matter_in_which_form_a_text_is_written(form: str, text: str) -> None:
    assert terms(unicodedata.normalize(form, text)) == terms(text)  # type: ignore[arg-type]


@given(st.text(st.one_of([st.characters(min_codepoint=low, max_codepoint=high) for low, high in UNCHANGED])))
def test_terms_of_the_other_scripts_are_as_they_were(text: str) -> None:
    assert terms(text) == terms_of_old(text)


@pytest.mark.parametrize(
    "text",
    [
        "\u2139\ufe0finfo: 1\ufe0f\u20e3Buy C++ 2\ufe0f\u20e3 call mum's #friend",
        "👩\u200d💻dev Auf\u200clage v\u20d7 I\ufe20U\ufe21rij",
        "می\u200cخواهم",  # noqa: RUF001 - Persian
        "Ёлка дн\u0483ь Ελλάδα ἀγαθός",
        "\uff76\uff9e ト\u30fbか\u309aあ\u3099、日本\ufe00語 O'東京",
        "한국어 \u1112\u1161\u11ab나\u302e",
    ],
)
def test_what_looks_like_a_mark_elsewhere_is_as_it_was(text: str) -> None:
    assert terms(text) == terms_of_old(text)
