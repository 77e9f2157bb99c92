import io
import json
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headroom.errors import InvalidInputError
from headroom.memory import Engine, Memory, MemoryConfig, MemoryFilter

HEADER = '{"format": "headroom-memory", "version": 1}\n'


def everything_of(engine: Engine, user_id: str) -> list[Memory]:
    return engine.query(MemoryFilter(user_id=user_id, include_superseded=True, include_expired=True))


def line(**changes: Any) -> str:
    row = {
        "id": "m1",
        "content": "Likes tea",
        "user_id": "alice",
        "created_at": "2024-01-01T00:00:00+00:00",
        "valid_from": "2024-01-01T00:00:00+00:00",
    } | changes
    return json.dumps({name: value for name, value in row.items() if value is not ...}) + "\n"


@pytest.fixture
def full(engine: Engine) -> Engine:
    """An engine with a bit of everything, of two users."""
    first = engine.add("Works at Google", "alice", importance=0.25, metadata={"a": [1, None, {"b": "ü"}]})
    second = engine.supersede(first.id, "Works at Anthropic")
    engine.rollback(first.id)
    engine.supersede(engine.get_history(second.id)[-1].id, "Works\nat “home” 🏠", category="insight")
    engine.add("Likes tea", "alice", "s", "a", "t", "preference", entities=["Tea", "Ü"])
    engine.add(
        "Expired",
        "alice",
        valid_from=datetime(2020, 1, 1, tzinfo=UTC),
        expires_at=datetime(2021, 1, 1, microsecond=1, tzinfo=UTC),
    )
    engine.add("Likes tea", "bob")
    return engine


@pytest.fixture
def empty(open_engine: Callable[..., Engine], tmp_path: Path) -> Engine:
    return open_engine(db_path=tmp_path / "other.db")


def test_what_was_exported_is_imported_without_loss(full: Engine, empty: Engine, tmp_path: Path) -> None:
    assert full.export(tmp_path / "dump.jsonl") == 7
    assert empty.import_(tmp_path / "dump.jsonl") == 7

    for user in ("alice", "bob"):
        assert everything_of(empty, user) == everything_of(full, user)
    for memory in everything_of(full, "alice"):
        if memory.content != "Expired":
            assert empty.get_history(memory.id) == full.get_history(memory.id)
    assert [found.content for found in empty.search("tea", "bob")] == ["Likes tea"]
    assert [found.id for found in empty.search("works at", "alice", top_k=1)] == [
        found.id for found in full.search("works at", "alice", top_k=1)
    ]


def test_importing_twice_is_importing_once(full: Engine, empty: Engine, tmp_path: Path) -> None:
    full.export(tmp_path / "dump.jsonl")
    empty.import_(tmp_path / "dump.jsonl")

    assert empty.import_(tmp_path / "dump.jsonl") == 0
    assert full.import_(tmp_path / "dump.jsonl") == 0
    assert everything_of(empty, "alice") == everything_of(full, "alice")


def test_an_exported_file_reads_as_json_lines_and_is_private(full: Engine, tmp_path: Path) -> None:
    full.export(tmp_path / "dump.jsonl")

    header, *rows = map(json.loads, (tmp_path / "dump.jsonl").read_text(encoding="utf-8").splitlines())
    assert header["format"] == "headroom-memory"
    assert header["version"] == 1
    assert {row["user_id"] for row in rows} == {"alice", "bob"}
    assert rows[0]["content"] == "Works at Google"
    assert stat.S_IMODE((tmp_path / "dump.jsonl").stat().st_mode) == 0o600


def test_one_user_alone_can_be_exported_to_an_open_file(full: Engine, empty: Engine) -> None:
    file = io.StringIO()

    assert full.export(file, "bob") == 1
    file.seek(0)
    assert empty.import_(file) == 1
    assert not file.closed
    assert everything_of(empty, "alice") == []


def test_an_export_that_fails_leaves_the_earlier_one(full: Engine, tmp_path: Path) -> None:
    target = tmp_path / "dump.jsonl"
    full.export(target)
    before = target.read_bytes()
    full.close()

    with pytest.raises(Exception, match="close"):
        full.export(target)
    assert target.read_bytes() == before
    assert list(tmp_path.glob(".*")) == []


def test_imports_report_their_progress(full: Engine, empty: Engine, tmp_path: Path) -> None:
    full.export(tmp_path / "dump.jsonl")
    seen: list[tuple[int, int]] = []

    empty.import_(tmp_path / "dump.jsonl", progress=lambda done, total: seen.append((done, total)))

    assert seen[-1] == (7, 7)


def test_a_dump_fits_another_embedder(full: Engine, tmp_path: Path) -> None:
    full.export(tmp_path / "dump.jsonl")

    with Engine(MemoryConfig(db_path=tmp_path / "bundled.db")) as other:
        assert other.import_(tmp_path / "dump.jsonl") == 7
        assert [found.content for found in other.search("a hot drink", "bob")] == ["Likes tea"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("", "line 1: expected the header"),
        ("nonsense\n", "line 1: expected the header"),
        ("[1]\n", "line 1: expected the header"),
        ('{"format": "other"}\n', "line 1: expected the header"),
        (line(), "line 1: expected the header"),
        ('{"format": "headroom-memory", "version": 99}\n', "format version 99.*upgrade"),
        (HEADER + line() + "{\n", "line 3: not JSON"),
        (HEADER + line() + "[]\n", "line 3: expected an object"),
        (HEADER + line() + line(id="m2", contnt="x"), r"line 3: unknown keys \['contnt'\]"),
        (HEADER + line() + line(id="m2", content=...), "line 3: content missing"),
        (HEADER + line() + line(id="m2", content=" "), "line 3: content is blank"),
        (
            HEADER + line() + line(id="m2", content="half \ud800"),
            "line 3: content contains half of a surrogate",
        ),
        (HEADER + line() + line(id="m2", user_id=""), "line 3: user_id is blank"),
        (HEADER + line() + line(id="m2", category="hobby"), "line 3: unknown category"),
        (HEADER + line() + line(id="m2", importance=7), "line 3: importance"),
        (HEADER + line() + line(id="m2", entities="Tom"), "line 3: entities"),
        (HEADER + line() + line(id="m2", metadata=[]), "line 3: metadata"),
        (HEADER + line() + line(id="m2", created_at="yesterday"), "line 3: created_at is no ISO 8601 time"),
        (HEADER + line() + line(id="m2", created_at=7), "line 3: created_at is no ISO 8601 time"),
        (
            HEADER + line() + line(id="m2", created_at="2024-01-01T00:00:00"),
            "line 3: created_at must be a timezone",
        ),
        (HEADER + line() + line(id="m2", expires_at="2023-01-01T00:00:00+00:00"), "line 3: expires_at"),
        (HEADER + line() + line(), "line 3: the id 'm1' was on a line before"),
        (HEADER + line() + line(id="m2", supersedes="m0"), "line 3: the version before it, 'm0'"),
        (HEADER + line() + line(id="m2", supersedes="m1"), "line 3: it does not continue"),
        (HEADER + line(superseded_by="m2"), "line 2: superseded_by and valid_until go together"),
        (
            HEADER + line(superseded_by="m2", valid_until="2024-02-01T00:00:00+00:00"),
            "the version after 'm1', 'm2', is missing: the file was cut off",
        ),
        (
            HEADER
            + line(superseded_by="m2", valid_until="2024-02-01T00:00:00+00:00")
            + line(id="m2", supersedes="m1", valid_from="2024-02-01T00:00:00+00:00", user_id="bob"),
            "line 3: it lies in another scope",
        ),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_imported(engine: Engine, lines: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        engine.import_(io.StringIO(lines))

    assert everything_of(engine, "alice") == everything_of(engine, "bob") == []


def test_a_file_that_is_no_text_is_refused(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "dump").write_bytes(b"\xff\xfe\x00binary")

    with pytest.raises(InvalidInputError, match="not UTF-8"):
        engine.import_(tmp_path / "dump")


def test_a_byte_order_mark_is_no_mistake(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "dump.jsonl").write_text(HEADER + line(), encoding="utf-8-sig")

    assert engine.import_(tmp_path / "dump.jsonl") == 1


def test_an_import_that_is_stopped_stored_nothing(full: Engine, empty: Engine, tmp_path: Path) -> None:
    def stop(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    full.export(tmp_path / "dump.jsonl")
    with pytest.raises(KeyboardInterrupt):
        empty.import_(tmp_path / "dump.jsonl", stop)

    assert everything_of(empty, "alice") == everything_of(empty, "bob") == []


def test_blank_lines_and_left_out_fields_are_no_mistake(engine: Engine) -> None:
    assert engine.import_(io.StringIO(HEADER + "\n" + line() + "\n")) == 1

    (memory,) = everything_of(engine, "alice")
    assert (memory.id, memory.content, memory.importance) == ("m1", "Likes tea", 0.5)


def test_a_newer_dump_continues_the_chain_that_is_there(full: Engine, empty: Engine, tmp_path: Path) -> None:
    first = full.add("Lives in Rome", "carol")
    full.export(tmp_path / "early.jsonl", "carol")
    second = full.supersede(first.id, "Lives in Oslo")
    full.export(tmp_path / "late.jsonl", "carol")

    empty.import_(tmp_path / "early.jsonl")
    assert empty.import_(tmp_path / "late.jsonl") == 1

    assert empty.query(MemoryFilter(user_id="carol")) == [second]
    assert empty.get_history(first.id) == full.get_history(first.id)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    contents=st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=5),
    metadata=st.dictionaries(
        st.text(max_size=5),
        st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists),
        max_size=3,
    ),
)
def test_whatever_was_stored_survives_the_journey(
    engine: Engine, empty: Engine, contents: list[str], metadata: dict[str, Any]
) -> None:
    for content in contents:
        try:
            added = engine.add(content, "alice", metadata=metadata)
            engine.supersede(added.id, content * 2)
        except InvalidInputError:
            continue
    file = io.StringIO()
    engine.export(file)
    file.seek(0)

    empty.import_(file)
    assert everything_of(empty, "alice") == everything_of(engine, "alice")
    engine.clear("alice")
    empty.clear("alice")


def test_what_was_stored_under_a_higher_limit_is_imported(
    open_engine: Callable[..., Engine], tmp_path: Path
) -> None:
    roomy = open_engine(max_content_length=20)
    roomy.add("x" * 20, "alice")
    roomy.export(tmp_path / "dump.jsonl")

    with_less = open_engine(db_path=tmp_path / "other.db", max_content_length=10)

    assert with_less.import_(tmp_path / "dump.jsonl") == 1
    assert everything_of(with_less, "alice") == everything_of(roomy, "alice")
