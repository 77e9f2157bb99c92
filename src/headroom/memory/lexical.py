"""Words as numbers: what a text says, as hashes of its stemmed words, and an index over many texts.

A memory says a word or does not; how often it says it and how long it is (BM25's term frequency and length
correction) changed recall by less than 0.3 points in either direction.
"""

import hashlib
import re
import unicodedata
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from snowballstemmer.english_stemmer import EnglishStemmer

from headroom.memory.timewords import asks_for_time, tells_time

Terms = NDArray[np.uint32]
"""Hashes of stemmed words, each once, in the order in which they first occur."""

STOP_WORDS: Final = frozenset(
    "a an the and or but if of at by for with about to from in on into as so than then not no too very just"  # noqa: SIM905 -- a list is a page long
    " here there is are was were be been being am do does did done doing have has had having will would can"
    " could should may might shall must i me my you your he him his she her hers it its we us our they them"
    " their this that these those what which who whom whose when where why how".split()
)
"""Words that every text has. Dropping them brings BM25 4.6 points of recall@10, longer lists no more."""

# Chinese, Japanese, Thai, Lao, Burmese and Khmer write no spaces, so each of their characters is a word, but
# not each of their digits. And "C++" and "C#" are not "C".
_UNSPACED: Final = (
    r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ece\u0edc-\u0edf"
    r"\u1000-\u103f\u1050-\u108f\u1780-\u17d3\u17d7\u17dc"
)
_WORD: Final = re.compile(rf"[{_UNSPACED}]\u00aa*|[^\W_{_UNSPACED}]+(?:'[^\W_]+|\+\+|\#)?")
_RUN: Final = re.compile(r"[^\W_]+")
_HAS_UNSPACED: Final = re.compile(f"[{_UNSPACED}]")
# Hebrew and Arabic points are as good as accents: whoever writes a word seldom writes them.
_ACCENT: Final = re.compile(
    r"[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u064b-\u0652\u0670]"
)
# After an Indian or unspaced character, joiners and variation selectors say only how to draw it; else,
# they end a word ("\u2139\ufe0finfo").
_DRAWING: Final = re.compile(
    rf"[\u200c\u200d\ufe00-\ufe0f\U000e0100-\U000e01ef](?<=[\u0900-\u0dff{_UNSPACED}].)"
)
# Vowel signs are marks, which Python takes for no part of a word. These are the scripts that have any.
_MARK: Final = re.compile(r"[\u0591-\u1aaf\u1b00-\u1cff\ua800-\uabff\ufb1e\U00010000-\U0001efff](?<!\w)")
_FINAL_PUNCTUATION: Final = " .!?…,;:。！？"  # noqa: RUF001 - Chinese and Japanese text ends in the full-width ones
_PAUSE: Final = re.compile(r"[.,;:!?…](?= )")
_LONGEST_WORD: Final = 40
_ADVICE: Final = r"should (?:i|we)\b|recommend|suggest|advise|propose"
_CHOICE: Final = r"should\b|would suit|to (?:use|choose|pick|take|buy)\b|for (?:me|my|us|our)\b"
# A question word that asks for no choice takes the rest of its sentence with it: read on from each question
# word to the end, a long sentence of many would take the square of the time.
_ASKS_FOR_CHOICE: Final = re.compile(
    rf"\b(?:({_ADVICE})|(?:what|which|best)\b(?:[^.?!\n]*\b({_ADVICE}|{_CHOICE})|[^.?!\n]*))", re.IGNORECASE
)
# Many type no apostrophes. Not "me": "tell me a joke" is not about who asks.
_FIRST_PERSON: Final = re.compile(r"\b(?:i|im|ive|my|mine|myself|we|our|ours)\b", re.IGNORECASE)
_ASKS_ABOUT: Final = re.compile(
    r"(?:^|[.!?,;:\n])[^\S\n]*(?:whats?|who|whom|whose|when|where|why|how|which"
    r"|is|are|was|were|do|does|did|explain|define)\b",
    re.IGNORECASE,
)
_ASKS_WHO_ONE_IS: Final = re.compile(
    r"\b(?:(?:know|remember|recall|learned|noted|stored|saved|told you|tell me|say)\b[^.?!\n]{0,30}"
    r"\babout (?:me|myself)|(?:describe|summari[sz]e|remember) me|who (?:am i|i am))\b",
    re.IGNORECASE,
)
_LEAST_SAID: Final = 3
"""With fewer terms, a message that is not about who says it is near anything by coincidence only."""
_FOREIGN: Final = re.compile(r"[^\W\d_\x00-\x7f]\w*")
"""A word from its first letter on that English words seldom have."""
_ENGLISH_SHARE: Final = 0.15
"""Nine of ten English messages have more stop words; others, which share some ("was", "me"), seldom have."""
_ROW: Final = np.uint64(0xFFFF_FFFF)


@dataclass(frozen=True, slots=True)
class Lexemes:
    """What ranking knows of a memory's text."""

    terms: Terms
    """Shape (number of different words,); those of its entities included."""
    subject: int
    """The first of its own words, as a hash: whom or what it is about; 0 where it has none."""
    asks: bool
    """Whether it ends as a question (a note in brackets after it aside)."""
    dated: bool
    """Whether it says when: "yesterday", "last May", "in 2023"."""
    wording: int
    """The same for two copies of a statement, as a hash of 64 bits that is not 0: of the `normalised` text,
    less pauses, and "the user" at the beginning. Symbols and accents count: "$500" is not "€500"."""


@dataclass(frozen=True, slots=True)
class QueryLexemes:
    """What ranking knows of a query's text."""

    terms: Terms
    asks_for_time: bool
    """Whether it wants to know when."""
    asks_for_choice: bool
    """Whether it wants to know what to choose: "which … should I", "recommend", "what … for my …"."""
    asks_who_one_is: bool
    """Whether it wants to know all that is known: "what do you know about me?"."""
    impersonal: bool
    """Whether it asks, in English, without a word for who asks: "what is the fastest car?"."""
    slight: bool
    """Whether it says too little to be near anything: "ok", "good morning"; but "my job?" is enough."""
    english: bool
    """Whether it has about as many English stop words as English has; few other messages do."""


def analyse(text: str, entities: Iterable[str] = ()) -> Lexemes:
    """What a memory's text says; `entities` are names that it is about, whether it mentions them or not.

    What this returns is stored, so a change here is a change of the database's format.
    """
    words = _words(text)
    own = _terms(words)
    return Lexemes(
        terms=_unique([*own, *(term for entity in entities for term in _terms(_words(entity)))]),
        subject=own[0] if own else 0,
        asks=_asks(text),
        dated=tells_time(text),
        wording=_wording(text),
    )


def analyse_query(text: str) -> QueryLexemes:
    """What a query's text asks for."""
    words = _words(text)
    terms = _unique(_terms(words))
    personal = _FIRST_PERSON.search(text) is not None
    return QueryLexemes(
        terms=terms,
        asks_for_time=asks_for_time(text),
        asks_for_choice=any(match.lastindex for match in _ASKS_FOR_CHOICE.finditer(text)),
        asks_who_one_is=_ASKS_WHO_ONE_IS.search(text) is not None,
        impersonal=not personal and _ASKS_ABOUT.search(text) is not None,
        slight=not personal and len(terms) < _LEAST_SAID,
        english=_is_english(text, words),
    )


def _is_english(text: str, words: Sequence[str]) -> bool:
    stops = sum(word in STOP_WORDS for word in words)
    return stops - len(_FOREIGN.findall(text)) >= _ENGLISH_SHARE * max(len(words), 1)


def _asks(text: str) -> bool:
    said = text.rstrip()
    note = said.rfind("(")
    if note >= 0 and said.endswith(")") and ")" not in said[note:-1]:
        said = said[:note].rstrip()
    # Full-width ones are compatible with the first, the Arabic one is not.
    return unicodedata.normalize("NFKC", said[-1:]).endswith(("?", "\u061f"))


def _unique(terms: Iterable[int]) -> Terms:
    return np.fromiter(dict.fromkeys(terms), dtype=np.uint32)


def _terms(words: Iterable[str]) -> list[int]:
    return [_term(word) for word in words if word not in STOP_WORDS]


def normalised(text: str) -> str:
    """What two texts share that say the same: case, white space and final punctuation mean nothing.

    Symbols stay, and so "C", "C++" and "C#" are three things.
    """
    folded = " ".join(unicodedata.normalize("NFC", text).casefold().split())
    return folded.rstrip(_FINAL_PUNCTUATION) or folded


def _wording(text: str) -> int:
    said = normalised(text).replace("\u2019", "'")
    return hashed(_PAUSE.sub("", said).removeprefix("the ").removeprefix("user ")) or 1


def hashed(text: str) -> int:
    """A hash of 64 bits, with a sign as SQLite's integers have one. It is stored: it must never change."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def unspaced(word: str) -> list[str]:
    """The parts of a word that is written without spaces around it, for `contains`; of another word none."""
    runs = _found(_RUN, _folded(word))
    return runs if any(map(_HAS_UNSPACED.search, runs)) else []


def contains(text: str, parts: Iterable[str]) -> bool:
    """Whether the text has each of these parts of words somewhere, be it within another word."""
    folded = _folded(text)
    return all(part in folded for part in parts)


def _words(text: str) -> list[str]:
    return [word.removesuffix("'s") for word in _found(_WORD, _folded(text))]


def _found(pattern: re.Pattern[str], folded: str) -> list[str]:
    """What the pattern matches, with all marks."""
    if folded.isascii() or not _MARK.search(folded):
        return pattern.findall(folded)
    return [folded[slice(*found.span())] for found in pattern.finditer(_MARK.sub(_letter, folded))]


def _letter(found: re.Match[str]) -> str:
    """In place of a mark a letter, so that it is part of the word; one that no folded text has."""
    return "\u00aa" if unicodedata.category(found[0]) in ("Mn", "Mc") else found[0]


def _folded(text: str) -> str:
    """Without case, accents and typographic apostrophes."""
    if text.isascii():
        return text.lower()
    letters = unicodedata.normalize("NFKD", text.replace("\u2019", "'").casefold())
    return unicodedata.normalize("NFC", _DRAWING.sub("", _ACCENT.sub("", letters)))


@lru_cache(maxsize=65_536)
def _term(word: str) -> int:
    """The hash of the word's stem. Stemming is worth 1.3 points of recall@10.

    The stemmer is the pure Python one, so that all machines get the same stems (a C extension beside it is of
    another version), and a new one each time, for it keeps the word that it works on in itself.
    """
    stem = EnglishStemmer().stemWord(word) if len(word) <= _LONGEST_WORD else word
    return zlib.crc32(stem.encode("utf-8", "surrogatepass"))


class TermIndex:
    """Which of a user's memories say a word. Memories are rows, numbered from 0 in the order of being added.

    Each occurrence is one number, the word in its upper half and the row in its lower, in one sorted array:
    8 bytes an occurrence, a look-up is a binary search. What is new gathers in a second, small array until
    merging pays. Not to be written to while it is read.
    """

    def __init__(self, counts: NDArray[np.integer], terms: Terms) -> None:
        """Index memories; for the arguments see `extend`."""
        self._size = 0
        self._settled = self._recent = np.empty(0, dtype=np.uint64)
        self.extend(counts, terms)

    def __len__(self) -> int:
        return self._size

    @property
    def nbytes(self) -> int:
        """How many bytes the index takes."""
        return self._settled.nbytes + self._recent.nbytes

    def extend(self, counts: NDArray[np.integer], terms: Terms) -> None:
        """Add memories as the next rows.

        Args:
            counts: How many terms each of them has, shape (n,).
            terms: The terms of all of them, one memory after the other, shape (sum of counts,).
        """
        rows = np.repeat(np.arange(self._size, self._size + len(counts)), counts)
        self._recent = _merged(self._recent, np.sort(_occurrences(terms, rows)))
        self._size += len(counts)
        if len(self._recent) > 4_096 + len(self._settled) // 16:
            self._settled = _merged(self._settled, self._recent)
            self._recent = self._settled[:0]

    def occurrences(self, terms: Terms) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Which of these words is said where.

        Args:
            terms: The words, each once, shape (T,).

        Returns:
            The places of words in `terms`, and the rows that say them, both of shape (occurrences,). Each
            pair is there once.
        """
        first = terms.astype(np.uint64) << np.uint64(32)
        found, counts = [self._settled[:0]], []
        for part in (self._settled, self._recent):
            starts, ends = part.searchsorted(first), part.searchsorted(first | _ROW, "right")
            found += [part[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
            counts.append(ends - starts)
        places = np.arange(len(terms))
        said = np.repeat(np.concatenate((places, places)), np.concatenate(counts))
        return said, (np.concatenate(found) & _ROW).astype(np.intp)


def _occurrences(terms: Terms, rows: NDArray[np.integer]) -> NDArray[np.uint64]:
    return (terms.astype(np.uint64) << np.uint64(32)) | rows.astype(np.uint64)


def _merged(old: NDArray[np.uint64], new: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return np.insert(old, old.searchsorted(new), new)
