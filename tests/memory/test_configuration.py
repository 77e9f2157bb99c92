import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from headroom.errors import ConfigurationError
from headroom.memory import Durability, EmbedderBackend, Engine, MemoryConfig


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"durability": "some"}, "durability must be one of: full, normal"),
        ({"embedder_backend": "magic"}, "embedder_backend must be one of: local, openai, ollama"),
        ({"vector_dimension": 0}, "vector_dimension must be a whole number of at least 1, but is 0"),
        ({"hnsw_m": 1}, "hnsw_m must be a whole number of at least 2, but is 1"),
        ({"hnsw_ef_search": 0}, "hnsw_ef_search must be a whole number of at least 1"),
        ({"top_k": -3}, "top_k must be a whole number of at least 1, but is -3"),
        ({"max_pending": 0}, "max_pending must be a whole number of at least 1"),
        ({"max_content_length": 0}, "max_content_length must be a whole number of at least 1"),
        ({"embedder_timeout": 0}, "embedder_timeout must be a finite number of seconds, more than 0"),
        ({"embedder_timeout": math.inf}, "embedder_timeout must be a finite number of seconds, more than 0"),
        ({"session_lifetime": timedelta()}, "session_lifetime must be a timedelta, more than 0"),
        ({"session_lifetime": timedelta.max}, "session_lifetime must be a timedelta, .* up to a century"),
        ({"min_score": 1.5}, "min_score must be a number from 0 to 1, but is 1.5"),
        ({"injection_min_score": -1}, "injection_min_score must be a number from 0 to 1"),
        ({"embedder_model": " "}, "embedder_model must be the name of a model, but is ' '"),
    ],
)
def test_a_setting_out_of_range_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        MemoryConfig(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"db_path": None},
        {"db_path": b"memory.db"},
        {"vector_dimension": 384.0},
        {"hnsw_m": 16.5},
        {"top_k": 2.5},
        {"top_k": True},
        {"cache_max_size": "1000"},
        {"max_pending": None},
        {"session_lifetime": 3600},
        {"embedder_timeout": "30"},
        {"embedder_timeout": math.nan},
        {"min_score": "0.5"},
        {"min_score": None},
        {"min_score": True},
        {"embedder_model": 5},
    ],
    ids=str,
)
def test_a_setting_of_the_wrong_kind_is_named(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"{next(iter(settings))} must be"):
        MemoryConfig(**settings)


def test_names_stand_for_their_enums(tmp_path: Path) -> None:
    config = MemoryConfig(db_path=tmp_path / "memory.db", durability="normal", embedder_backend="openai")  # type: ignore[arg-type]

    assert config.durability is Durability.NORMAL
    assert config.embedder_backend is EmbedderBackend.OPENAI
    assert config.db_path == str(tmp_path / "memory.db")


@pytest.mark.parametrize("durability", list(Durability))
def test_either_durability_keeps_what_was_stored(db_path: Path, durability: Durability) -> None:
    config = MemoryConfig(db_path=db_path, durability=durability)
    with Engine(config) as engine:
        added = engine.add("Likes tea", "alice")
    with Engine(config) as engine:
        assert engine.get(added.id) == added


@pytest.mark.parametrize(
    ("backend", "model"),
    [("local", "all-MiniLM-L6-v2"), ("openai", "text-embedding-3-small"), ("ollama", "nomic-embed-text")],
)
def test_each_backend_has_a_usual_model(backend: str, model: str) -> None:
    assert MemoryConfig(embedder_backend=backend).embedder_model == model  # type: ignore[arg-type]


def test_the_cache_can_be_switched_off(db_path: Path) -> None:
    with Engine(MemoryConfig(db_path=db_path, cache_enabled=False)) as engine:
        added = engine.add("Likes tea", "alice")
        for _ in range(2):
            assert [found.id for found in engine.search("tea", "alice")] == [added.id]
