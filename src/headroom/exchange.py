"""One exchange with a model, without I/O: what it is shown, and what follows from what it notes.

Clients look memories up before a call and carry out the operations after it; what is between is decided here.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Final, TypeAlias

from headroom.errors import ConfigurationError
from headroom.memory.filters import as_categories, as_level, check_importance
from headroom.memory.lexical import normalised
from headroom.memory.model import Memory, MemoryCategory, ScopeLevel
from headroom.prompting.extraction import ExtractedMemory, read_block
from headroom.prompting.injection import Injection, one_line
from headroom.scope import Scope

_USUAL_IMPORTANCE: Final = 0.5

_PREFERENCE: Final = re.compile(
    r"(?:the )?(?:user )?(?:really |strongly )?(?:prefers|likes|loves|favou?rs|dislikes|hates)\b",
    re.IGNORECASE,
)

ALREADY_KNOWN: Final = "remembered already"
NOT_SHOWN: Final = "no memory was shown under this handle"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeOptions:
    """How a wrapped client remembers; `headroom.with_memory` says what each option means.

    Raises:
        InvalidInputError: an option that cannot be; the message names it.
    """

    inject: bool = True
    extract: bool = True
    top_k: int | None = None
    min_score: float | None = None
    token_budget: int | None = None
    categories: Collection[MemoryCategory | str] | None = None
    default_level: ScopeLevel | str = ScopeLevel.USER
    redact: Callable[[str], str | None] | None = None
    strict: bool | None = None
    on_exchange: Callable[["ExchangeTrace"], object] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "default_level", as_level(self.default_level))
        if self.categories is not None:
            object.__setattr__(self, "categories", as_categories(self.categories))
        if self.min_score is not None:
            check_importance(self.min_score, "min_score")
        for name in ("top_k", "token_budget"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 1):
                raise ConfigurationError(f"{name} must be a whole number of at least 1, but is {value!r}")
        for name in ("redact", "on_exchange"):
            value = getattr(self, name)
            if value is not None and not callable(value):
                raise ConfigurationError(f"{name} must be a function, not {type(value).__name__}")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something the model noted that was not carried out."""

    what: str
    """The content of the memory, or the handle to forget."""
    reason: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Something of the memory that failed; the model's answer was delivered all the same."""

    step: str
    """"recall", "inject", "clean", "store" or "callback"."""
    error: Exception


@dataclass(slots=True, kw_only=True)
class ExchangeTrace:
    """What the memory did in one call: where to look when asking "why did it say that?".

    It fills while the call goes on; a streamed call is `finished` when its stream is. Times are in seconds.
    """

    scope: Scope
    recalled: Sequence[Memory] = ()
    """What the search found, best first, each with its score."""
    shown: Mapping[str, Memory] = field(default_factory=dict)
    """What of it the model was shown, by handle."""
    injected_text: str = ""
    injected_tokens: int = 0
    """About how many tokens the injected text has."""
    asked: bool = False
    """Whether the model was asked to note memories."""
    stored: list[Memory] = field(default_factory=list)
    superseded: list[tuple[Memory, Memory]] = field(default_factory=list)
    """The old version and the new one."""
    forgotten: list[Memory] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    recall_time: float | None = None
    model_time: float | None = None
    """From the request to the whole of the answer, or to the end of its stream."""
    store_time: float | None = None
    finished: bool = False
    """Whether the answer, or as much of it as arrived, is dealt with; it stays False where there was none."""


@dataclass(frozen=True, slots=True)
class Add:
    """Store a memory; the fields are `Engine.add`'s."""

    content: str
    category: MemoryCategory
    importance: float
    _: KW_ONLY
    user_id: str
    session_id: str | None = None
    agent_id: str | None = None
    turn_id: str | None = None


@dataclass(frozen=True, slots=True)
class Supersede:
    """Put a new version in the place of a memory that the model was shown."""

    memory: Memory
    content: str
    category: MemoryCategory | None
    importance: float | None


@dataclass(frozen=True, slots=True)
class Forget:
    """Delete a memory that the model was shown."""

    memory: Memory


Operation: TypeAlias = Add | Supersede | Forget


class Exchange:
    """One call of a model in a scope that has a user.

    Args:
        scope: Whose memory it is.
        options: How it is used.
    """

    def __init__(self, scope: Scope, options: ExchangeOptions) -> None:
        self.scope = scope
        self.options = options
        self.trace = ExchangeTrace(scope=scope)

    def show(self, recalled: Sequence[Memory], injection: Injection) -> None:
        """Record what was found and what of it the model is shown."""
        self.trace.recalled = recalled
        self.trace.shown = injection.shown
        self.trace.injected_text = injection.text
        self.trace.injected_tokens = injection.tokens

    def operations(self, blocks: Iterable[str]) -> list[Operation]:
        """What the blocks of the model's answer ask for, as far as it may have it and it is not known yet.

        What it may not have is added to the trace's refusals.
        """
        operations: list[Operation] = []
        known = {_as_shown(memory.content) for memory in self.trace.shown.values()}
        replaced: set[str] = set()
        forget: list[str] = []
        for extraction in map(read_block, blocks):
            for item in extraction.memories:
                operation = self._operation(item, known, replaced)
                if operation is not None:
                    operations.append(operation)
            forget.extend(extraction.forget)
            self.trace.refused.extend([Refusal("", "unreadable")] * extraction.unreadable)
        for handle in dict.fromkeys(forget):
            memory = self.trace.shown.get(handle)
            if memory is None:
                self.refuse(handle, NOT_SHOWN)
            elif handle not in replaced:
                operations.append(Forget(memory))
        return operations

    def redacted(self, operation: Operation) -> Operation | None:
        """The operation with its content redacted; None where nothing of it may be stored."""
        if self.options.redact is None or isinstance(operation, Forget):
            return operation
        content = self.options.redact(operation.content)
        if not content:
            self.refuse("[redacted]", "redacted")
            return None
        return replace(operation, content=content)

    def refuse(self, what: str, reason: str) -> None:
        """Record that something the model noted is not carried out."""
        self.trace.refused.append(Refusal(what, reason))

    def _operation(self, item: ExtractedMemory, known: set[str], replaced: set[str]) -> Operation | None:
        if (content := _as_shown(item.content)) in known:
            self.refuse(item.content, ALREADY_KNOWN)
            return None
        category = item.category or _usual_category(item.content)
        if self.options.categories is not None and category not in self.options.categories:
            self.refuse(item.content, f"the category {category} is not allowed")
            return None
        known.add(content)
        if item.replaces is not None and item.replaces not in replaced:
            if memory := self.trace.shown.get(item.replaces):
                replaced.add(item.replaces)
                return Supersede(memory, item.content, item.category, item.importance)
            self.refuse(item.replaces, f"{NOT_SHOWN}, so nothing was replaced")
        return self._addition(item, category)

    def _addition(self, item: ExtractedMemory, category: MemoryCategory) -> Add | None:
        level = as_level(self.options.default_level)
        if item.level is ScopeLevel.SESSION and self.scope.session_id is not None:
            level = ScopeLevel.SESSION
        parts = {part: getattr(self.scope, part) for part in level.parts}
        if parts[f"{level}_id"] is None:
            self.refuse(item.content, f"there is no {level} to keep it in")
            return None
        importance = _USUAL_IMPORTANCE if item.importance is None else item.importance
        return Add(item.content, category, importance, **parts)


def _as_shown(content: str) -> str:
    """A content as it can be compared: the model repeats what it was shown, not what is stored."""
    return normalised(one_line(content))


def _usual_category(content: str) -> MemoryCategory:
    return MemoryCategory.PREFERENCE if _PREFERENCE.match(content) else MemoryCategory.FACT
