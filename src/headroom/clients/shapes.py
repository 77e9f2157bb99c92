"""What requests and answers have in common, whether they are JSON or the objects of an SDK."""

import copy
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import Any, Final

Json = Any
"""A JSON object, or an object with the same fields, or both: Hugging Face's have items beside attributes."""

_LEFT_OUT: Final = frozenset({"NotGiven", "Omit"})


def get(target: Json, name: str, usual: Any = None) -> Any:
    """A field, or `usual` where there is none."""
    if type(target) is dict:  # by far the most frequent, and told faster than a Mapping
        return target.get(name, usual)
    if isinstance(target, Mapping):
        attributes = getattr(target, "__dict__", {})
        return attributes[name] if name in attributes else target.get(name, usual)
    return getattr(target, name, usual)


def put(target: Json, name: str, value: Any) -> None:
    """Set a field."""
    items_too = isinstance(target, MutableMapping)
    if items_too:
        target[name] = value
    if not items_too or name in getattr(target, "__dict__", ()):
        setattr(target, name, value)


def unite(target: Json) -> None:
    """Where items are copies of the attributes of the same name, put the attributes in their place."""
    if isinstance(target, list):
        for item in target:
            unite(item)
    elif type(target) is not dict and isinstance(target, MutableMapping):  # as in `get`
        for name, value in getattr(target, "__dict__", {}).items():
            unite(value)
            if name in target and target[name] is not value:
                target[name] = value


def items(target: Json, name: str) -> Sequence[Json]:
    """The list in a field; empty where there is none."""
    value = None if target is None else get(target, name)
    return value if isinstance(value, list | tuple) else ()


def changed(target: Json, **fields: Any) -> Json:
    """A copy with other values in these fields."""
    if type(target) is dict or (isinstance(target, Mapping) and not isinstance(target, MutableMapping)):
        return {**target, **fields}
    duplicate = copy.copy(target)
    for name, value in fields.items():
        put(duplicate, name, value)
    return duplicate


def given(request: Mapping[str, Any], name: str) -> Any:
    """The value of a parameter; None also where it is an SDK's mark for one that was left out."""
    value = request.get(name)
    return None if type(value).__name__ in _LEFT_OUT else value


def text_of(content: Any) -> str:
    """The text of a message's content: a string, or parts of which some are text."""
    if isinstance(content, str):
        return content
    return "\n".join(_texts(content))


def _texts(content: Any) -> Iterator[str]:
    for part in content if isinstance(content, list | tuple) else ():
        text = get(part, "text")
        if isinstance(text, str):
            yield text


def last_user_message(messages: Sequence[Json]) -> int | None:
    """The place of the last message that the user wrote."""
    return next((at for at in reversed(range(len(messages))) if get(messages[at], "role") == "user"), None)


def with_text(message: Json, text: str, part_type: str, *, first: bool) -> Json:
    """A copy of the message with a text before or behind its own content, be that a string or parts."""
    content = get(message, "content")
    if isinstance(content, list | tuple):
        part = {"type": part_type, "text": text}
        return changed(message, content=[part, *content] if first else [*content, part])
    own = [content] if content else []
    return changed(message, content="\n\n".join([text, *own] if first else [*own, text]))
