"""Two store objects on the same memories: each sees at once what the other did, whatever it was."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from store_material import (
    DAY,
    NOW,
    PATIENT,
    SECOND,
    add,
    is_recalled,
    memory,
    recalled,
    request,
    successor,
    supersede,
)

from headroom.memory import Memory, MemoryFilter, Scope
from headroom.memory.stores.base import MemoryStore

USERS = ("alice", "bob")
NAMES = (None, None, "x", "y")
numbers = itertools.count()


class Expected:
    """What is stored, kept in the simplest way: a list of versions in the order of storing."""

    def __init__(self) -> None:
        self.memories: list[Memory] = []

    def chain(self, each: Memory) -> list[Memory]:
        while each.supersedes is not None:
            each = self.by_id(each.supersedes)
        return [each, *self.after(each)]

    def after(self, each: Memory) -> list[Memory]:
        later = []
        while each.superseded_by is not None:
            each = self.by_id(each.superseded_by)
            later.append(each)
        return later

    def by_id(self, memory_id: str) -> Memory:
        return next(each for each in self.memories if each.id == memory_id)

    def replace(self, old: Memory, new: Memory) -> None:
        closed = replace(old, superseded_by=new.id, valid_until=new.valid_from)
        self.memories[self.memories.index(old)] = closed
        self.memories.append(new)

    def remove(self, gone: list[Memory]) -> None:
        ids = {each.id for each in gone}
        self.memories = [each for each in self.memories if each.id not in ids]

    def of(self, user: str) -> list[Memory]:
        return [each for each in self.memories if each.user_id == user]


def act(store: MemoryStore, expected: Expected, random: Random, now_in_days: int) -> None:
    """Do something at random, to the store and to what is expected of it."""
    now = NOW + now_in_days * DAY
    user = random.choice(USERS)
    current = [each for each in expected.of(user) if each.is_current]
    action = random.choice(["add", "add", "add", "supersede", "supersede", "delete", "clear", "vacuum"])
    if action == "add":
        session, agent, turn = (random.choice(NAMES) for _ in range(3))
        expires = random.choice([None, None, now + random.randint(3, 5) * DAY])
        new = [
            memory(
                f"{next(numbers)} said {random.choice(['here', 'there'])}",
                user,
                at=now,
                valid_from=now + random.choice([0, 0, 0, 1, 2]) * DAY,
                session_id=session,
                agent_id=agent,
                turn_id=turn,
                expires_at=expires,
            )
            for _ in range(random.randint(1, 3))
        ]
        assert add(store, *new) == new
        expected.memories += new
    elif action == "supersede" and current:
        old = random.choice(current)
        at = now + random.randint(0, 2) * SECOND
        since = at + random.choice([0, 0, 0, 1, 2]) * DAY
        new_version = successor(old, f"{next(numbers)} said instead", at=at, valid_from=since)
        supersede(store, old, new_version)
        expected.replace(old, new_version)
    elif action == "delete" and current:
        chains = [expected.chain(random.choice(expected.of(user))) for _ in range(random.randint(1, 2))]
        gone = {each.id: each for chain in chains for each in chain}
        assert store.delete([random.choice(chain).id for chain in chains]) == len(gone)
        expected.remove(list(gone.values()))
    elif action == "clear" and random.random() < 0.3:
        session, agent = random.choice(NAMES), random.choice(NAMES)
        gone_now = [
            each
            for each in expected.of(user)
            if session in (None, each.session_id) and agent in (None, each.agent_id)
        ]
        assert store.clear(user, session, agent) == len(gone_now)
        expected.remove(gone_now)
    elif action == "vacuum":
        ended = [
            each
            for each in expected.memories
            if each.is_current and each.expires_at and each.expires_at <= now
        ]
        gone_now = [version for each in ended for version in expected.chain(each)]
        assert store.vacuum(now) == len(gone_now)
        expected.remove(gone_now)


def check(store: MemoryStore, expected: Expected, random: Random, now_in_days: int) -> None:
    wanted = request(
        random.choice(["here", "there", "what was said instead"]),
        Scope(random.choice(USERS), *(random.choice(NAMES) for _ in range(3))),
        # The clock may be set back.
        now=NOW + random.choice([now_in_days, random.randint(-1, 6)]) * DAY + random.randint(0, 2) * SECOND,
        as_of=random.choice([None, None, NOW + random.randint(0, now_in_days + 1) * DAY]),
        all_sessions=random.random() < 0.2,
    )
    found = store.load(store.candidates(wanted).keys.tolist()).values()
    right = [each for each in expected.memories if is_recalled(each, wanted, expected.after(each))]
    if len(right) <= 64:
        assert sorted(found, key=lambda each: each.id) == sorted(right, key=lambda each: each.id)
    else:
        assert {each.id for each in found} <= {each.id for each in right}
    user = wanted.scope.user_id or ""
    assert list(store.dump(user)) == expected.of(user)
    for word in ("here", "instead"):
        where = MemoryFilter(user_id=user, text=word, include_superseded=True, include_expired=True)
        assert [each for each in expected.of(user) if word in each.content.split()] == sorted(
            store.query(where, wanted.now), key=expected.memories.index
        )


@settings(PATIENT, max_examples=30)
@given(random=st.randoms(use_true_random=False), steps=st.integers(1, 60))
def test_both_agree_with_the_rows_after_any_sequence_of_changes(
    open_store: Callable[..., MemoryStore], random: Random, steps: int
) -> None:
    stores = [open_store(), open_store()]
    for user in USERS:
        stores[0].clear(user)
    expected = Expected()
    for step in range(steps):
        act(random.choice(stores), expected, random, now_in_days=step // 10)
        if random.random() < 0.1:
            stores.pop(random.randrange(2)).close()
            stores.append(open_store())
        for store in stores:
            check(store, expected, random, now_in_days=step // 10)
    for store in stores:
        store.close()


def test_what_one_stores_the_other_recalls_next(open_store: Callable[..., MemoryStore]) -> None:
    here, there = open_store(), open_store()

    for number in range(100):
        add((here, there)[number % 2], memory(f"Number {number}"))
        assert f"Number {number}" in recalled((there, here)[number % 2], f"Number {number}")
