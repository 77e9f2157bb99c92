"""The memory engine: `Engine` is the synchronous core, `HierarchicalMemory` its asynchronous face."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from headroom.memory.config import Durability, EmbedderBackend, MemoryConfig
from headroom.memory.embedder import Embedder
from headroom.memory.filters import MemoryFilter, MemoryOrder
from headroom.memory.model import Memory, MemoryCategory, ScopeLevel
from headroom.memory.statistics import DatabaseStats, MemoryStats
from headroom.scope import Scope

if TYPE_CHECKING:
    from headroom.memory.drafts import NewMemory
    from headroom.memory.engine import Engine
    from headroom.memory.hierarchical import HierarchicalMemory

__all__ = [
    "DatabaseStats",
    "Durability",
    "Embedder",
    "EmbedderBackend",
    "Engine",
    "HierarchicalMemory",
    "Memory",
    "MemoryCategory",
    "MemoryConfig",
    "MemoryFilter",
    "MemoryOrder",
    "MemoryStats",
    "NewMemory",
    "Scope",
    "ScopeLevel",
]

# numpy and anyio take longer to import than all else together: whoever wants the engine waits for them.
_LAZY = {
    "Engine": "engine",
    "HierarchicalMemory": "hierarchical",
    "NewMemory": "drafts",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
