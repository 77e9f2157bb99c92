"""Every error that Headroom raises, as one tree; each message says what to do about it.

HeadroomError
├── InvalidInputError (ValueError)        what the caller passed cannot be stored or searched for
│   ├── InvalidScopeError                 an identifier of the wrong type, length or characters
│   └── ConfigurationError                a MemoryConfig field out of range
├── MissingScopeError                     no user: nothing says whose memory this is
├── ScopeConflictError                    two different users are claimed for one call
├── MemoryNotFoundError (LookupError)     no memory has this id
├── MemorySupersededError                 the memory is no longer the current version; .current_id is
├── StorageError                          the database cannot be read or written, or an export not written
│   └── SchemaVersionError                the file was written by a newer Headroom
├── EmbedderError                         the embedder failed
│   ├── EmbedderUnavailableError          the embedding service cannot be reached, or the model is absent
│   └── EmbedderMismatchError             the stored vectors were made by another model
├── OverloadedError                       too many requests are waiting already
├── ClosedError                           used after close()
└── MissingDependencyError (ImportError)  an optional package is not installed
"""


class HeadroomError(Exception):
    """The root: catch this to catch everything that Headroom raises."""


class InvalidInputError(HeadroomError, ValueError):
    """A value that cannot be stored or searched for."""


class InvalidScopeError(InvalidInputError):
    """An identifier of the wrong type, length or characters."""


class ConfigurationError(InvalidInputError):
    """A configuration that cannot work."""


class MissingScopeError(HeadroomError):
    """Nothing says whose memory this call belongs to."""


class ScopeConflictError(HeadroomError):
    """A call claims two different users at once."""


class MemoryNotFoundError(HeadroomError, LookupError):
    """No memory has this id."""

    def __init__(self, memory_id: str) -> None:
        super().__init__(f"no memory has the id {memory_id!r}; it may have been deleted, expired or cleared")
        self.memory_id = memory_id

    def __reduce__(self) -> tuple[type["MemoryNotFoundError"], tuple[str]]:
        return type(self), (self.memory_id,)


class MemorySupersededError(HeadroomError):
    """The memory is history already; the change belongs on its current version."""

    def __init__(self, memory_id: str, current_id: str) -> None:
        super().__init__(
            f"memory {memory_id!r} was superseded already; its current version is {current_id!r}: "
            "supersede that one instead"
        )
        self.memory_id = memory_id
        self.current_id = current_id

    def __reduce__(self) -> tuple[type["MemorySupersededError"], tuple[str, str]]:
        return type(self), (self.memory_id, self.current_id)


class StorageError(HeadroomError):
    """The database cannot be read or written, or an export of it cannot be written."""


class SchemaVersionError(StorageError):
    """The database was written by a newer version of Headroom."""


class EmbedderError(HeadroomError):
    """The embedder failed, or returned something that is not one vector per text."""


class EmbedderUnavailableError(EmbedderError):
    """The embedding service cannot be reached, or its model is absent."""


class EmbedderMismatchError(EmbedderError):
    """The stored vectors were made by another model, so they cannot be compared with this one's."""


class OverloadedError(HeadroomError):
    """Too many requests are waiting already; try again later."""


class ClosedError(HeadroomError):
    """The memory was used after it was closed."""


class MissingDependencyError(HeadroomError, ImportError):
    """An optional package is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f'{package} is not installed; run: pip install "headroom-memory[{extra}]"')
        self.package = package
        self.extra = extra

    def __reduce__(self) -> tuple[type["MissingDependencyError"], tuple[str, str]]:
        return type(self), (self.package, self.extra)
