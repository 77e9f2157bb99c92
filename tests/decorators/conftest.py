from collections.abc import Iterator
from pathlib import Path

import pytest

from headroom.memory import Engine, MemoryConfig


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(MemoryConfig(db_path=tmp_path / "memory.db")) as engine:
        yield engine
