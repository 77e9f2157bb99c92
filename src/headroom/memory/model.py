"""What a memory is: its content, whom it belongs to, and when it was true."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from headroom.scope import PARTS, Scope


class MemoryCategory(StrEnum):
    """What kind of knowledge a memory holds."""

    PREFERENCE = "preference"
    """Likes, dislikes, preferred approaches."""
    FACT = "fact"
    """Identity, role, constraints."""
    CONTEXT = "context"
    """Current goals, ongoing tasks."""
    ENTITY = "entity"
    """Information about people, projects, things."""
    DECISION = "decision"
    """Decisions made."""
    INSIGHT = "insight"
    """Derived insights."""


class ScopeLevel(StrEnum):
    """How far a memory reaches, from broadest to narrowest."""

    USER = "user"
    """All sessions, all time."""
    SESSION = "session"
    """One session."""
    AGENT = "agent"
    """One agent (of one session, where the memory names a session too)."""
    TURN = "turn"
    """One turn; it ends with the turn."""

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of a scope that a memory of this level may name, from broadest to narrowest."""
        return PARTS[: list(ScopeLevel).index(self) + 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """One version of one memory. Immutable: a change is a new version (see `supersedes`).

    All times are timezone-aware UTC.
    """

    id: str
    content: str
    user_id: str
    session_id: str | None = None
    agent_id: str | None = None
    turn_id: str | None = None
    category: MemoryCategory = MemoryCategory.FACT
    importance: float = 0.5
    """Between 0 (trivial) and 1 (vital)."""
    entities: tuple[str, ...] = ()
    """Names of people, projects, places that the memory is about."""
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """The application's own JSON-compatible data."""
    created_at: datetime
    """When it was stored."""
    valid_from: datetime
    """Since when it is true; where nothing else was said, since it was stored."""
    valid_until: datetime | None = None
    """Until when it was true: set when a newer version takes its place."""
    expires_at: datetime | None = None
    """From then on it is no longer recalled, and housekeeping may remove it."""
    supersedes: str | None = None
    """The id of the version before this one."""
    superseded_by: str | None = None
    """The id of the version after this one."""
    score: float | None = None
    """How well it fits the search that found it, 0 to 1; None where it was not searched for."""

    @property
    def is_current(self) -> bool:
        """Whether no newer version has taken its place."""
        return self.superseded_by is None

    @property
    def level(self) -> ScopeLevel:
        """The narrowest part of the scope that the memory names."""
        if self.turn_id is not None:
            return ScopeLevel.TURN
        if self.agent_id is not None:
            return ScopeLevel.AGENT
        if self.session_id is not None:
            return ScopeLevel.SESSION
        return ScopeLevel.USER

    @property
    def scope(self) -> Scope:
        """The scope it belongs to."""
        return Scope(self.user_id, self.session_id, self.agent_id, self.turn_id)

    def visible_from(self, scope: Scope) -> bool:
        """Whether code running in `scope` may see it: each part the memory names equals the scope's."""
        return (
            self.user_id == scope.user_id
            and self.session_id in (None, scope.session_id)
            and self.agent_id in (None, scope.agent_id)
            and self.turn_id in (None, scope.turn_id)
        )
