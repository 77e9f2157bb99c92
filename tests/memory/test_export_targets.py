"""Where an export may go, beside an ordinary file: nothing that is there is lost."""

import io
import os
from pathlib import Path

import pytest

from headroom.errors import InvalidInputError, StorageError
from headroom.memory import Engine


@pytest.fixture
def full(engine: Engine) -> Engine:
    engine.add("Likes tea", "alice")
    return engine


def test_a_pipe_is_written_to_and_stays_one(full: Engine, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with os.fdopen(os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK), encoding="utf-8") as reader:
        full.export(tmp_path / "pipe")

        assert "Likes tea" in reader.read()
    assert (tmp_path / "pipe").is_fifo()


def test_what_a_shell_offers_in_place_of_a_file_is_written_to(full: Engine) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, encoding="utf-8") as reader:
        full.export(f"/dev/fd/{writing}")
        os.close(writing)

        assert "Likes tea" in reader.read()


def test_a_file_that_was_removed_but_is_open_is_written_to(full: Engine, tmp_path: Path) -> None:
    with (tmp_path / "gone").open("w+", encoding="utf-8") as file:
        (tmp_path / "gone").unlink()
        full.export(f"/dev/fd/{file.fileno()}")

        assert "Likes tea" in file.read()
    assert list(tmp_path.glob("*gone*")) == []


@pytest.mark.parametrize("earlier", ["an earlier export", None])
def test_a_link_stays_and_where_it_leads_the_file_is_written(
    full: Engine, tmp_path: Path, earlier: str | None
) -> None:
    (tmp_path / "elsewhere").mkdir()
    real = tmp_path / "elsewhere" / "dump.jsonl"
    if earlier is not None:
        real.write_text(earlier)
    (tmp_path / "link").symlink_to("elsewhere/dump.jsonl")

    full.export(tmp_path / "link")

    assert (tmp_path / "link").is_symlink()
    assert full.import_(io.StringIO(real.read_text())) == 0
    assert list(real.parent.iterdir()) == [real]


def test_an_export_that_fails_leaves_the_file_behind_the_link(full: Engine, tmp_path: Path) -> None:
    (tmp_path / "dump.jsonl").write_text("an earlier export")
    (tmp_path / "link").symlink_to("dump.jsonl")
    full.close()

    with pytest.raises(Exception, match="close"):
        full.export(tmp_path / "link")
    assert (tmp_path / "dump.jsonl").read_text() == "an earlier export"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (".", r"\.: it is a directory; name a file in it"),
        ("", r"\.: it is a directory; name a file in it"),
        ("/", r"/: it is a directory; name a file in it"),
        ("folder", "folder: it is a directory; name a file in it"),
        ("missing/dump.jsonl", "missing/dump.jsonl: its directory does not exist; make it first"),
        ("file/dump.jsonl", r"file/dump.jsonl: .*\(Not a directory\); choose another"),
    ],
)
def test_where_no_file_can_be_the_error_names_what_was_given(
    full: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, message: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    before = set(tmp_path.iterdir())
    monkeypatch.chdir(tmp_path)

    with pytest.raises(StorageError, match=rf"^{message}"):
        full.export(target)
    assert set(tmp_path.iterdir()) == before


def test_a_pipe_that_nobody_reads_any_more_is_an_error_that_names_it(full: Engine) -> None:
    reading, writing = os.pipe()
    os.close(reading)

    with pytest.raises(StorageError, match=rf"^/dev/fd/{writing}: .*\(Broken pipe\)"):
        full.export(f"/dev/fd/{writing}")
    os.close(writing)


def test_the_database_is_not_replaced_by_its_own_export(full: Engine, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(full.config.db_path)
    for target in (full.config.db_path, tmp_path / "link"):
        with pytest.raises(InvalidInputError, match="is the database itself"):
            full.export(target)

    assert full.count("alice") == 1
