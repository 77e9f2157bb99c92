"""Figures about memories."""

from datetime import datetime
from typing import TypedDict, final


@final
class MemoryStats(TypedDict):
    """Figures about the memories of one user."""

    total: int
    """How many are current."""
    superseded: int
    """How many are earlier versions."""
    categories: dict[str, int]
    """How many of the total are in each category, all of which are listed."""
    levels: dict[str, int]
    """How many of the total are at each level, all of which are listed."""
    oldest: datetime | None
    """When the first of the total was stored; None where there is none."""
    newest: datetime | None
    """When the last of the total was stored."""
    database_bytes: int
    """The size of the whole file, whoever's."""


@final
class DatabaseStats(TypedDict):
    """Figures about the memories of everybody."""

    users: int
    """How many have current memories."""
    total: int
    """How many memories are current."""
    superseded: int
    """How many are earlier versions."""
    categories: dict[str, int]
    """How many of the total are in each category, all of which are listed."""
    database_bytes: int
    """The size of the file."""
    embedder: str | None
    """What made the stored vectors; None while there are none."""
    dimension: int | None
    """How many numbers each of them has."""
