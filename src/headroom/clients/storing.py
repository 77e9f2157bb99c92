"""Carries out what a model noted."""

from datetime import UTC, datetime

from headroom.errors import InvalidInputError, MemoryNotFoundError, MemorySupersededError
from headroom.exchange import ALREADY_KNOWN, Add, Exchange, Forget, Operation, Supersede
from headroom.memory.engine import Engine
from headroom.memory.lexical import normalised


def carry_out(operation: Operation, exchange: Exchange, engine: Engine) -> None:
    """Do one of the things that an exchange asks for, and add it to the exchange's trace.

    What the engine cannot store because of what it says is refused; other errors of the engine are raised.
    """
    try:
        match exchange.redacted(operation):
            case Add() as add:
                _add(add, exchange, engine)
            case Supersede() as supersede:
                _supersede(supersede, exchange, engine)
            case Forget(memory):
                if engine.delete(memory.id):
                    exchange.trace.forgotten.append(memory)
    except InvalidInputError as error:
        exchange.refuse(getattr(operation, "content", ""), str(error))


def _add(add: Add, exchange: Exchange, engine: Engine) -> None:
    now = datetime.now(UTC)
    memory = engine.add(
        add.content,
        add.user_id,
        add.session_id,
        add.agent_id,
        add.turn_id,
        category=add.category,
        importance=add.importance,
    )
    if memory.created_at < now:
        exchange.refuse(add.content, ALREADY_KNOWN)
        return
    exchange.trace.stored.append(memory)


def _supersede(operation: Supersede, exchange: Exchange, engine: Engine) -> None:
    memory = operation.memory
    while True:
        try:
            successor = engine.supersede(
                memory.id, operation.content, category=operation.category, importance=operation.importance
            )
        except MemorySupersededError as error:
            # An earlier call of the same turn, or another one beside it, was faster.
            current = engine.get(error.current_id)
            if current is None or normalised(current.content) == normalised(operation.content):
                exchange.refuse(operation.content, ALREADY_KNOWN)
                return
            memory = current
        except MemoryNotFoundError:
            exchange.refuse(operation.content, "what it replaces was deleted meanwhile")
            return
        else:
            exchange.trace.superseded.append((memory, successor))
            return
