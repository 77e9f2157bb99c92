"""Two agents that share a user and keep their own notes: python examples/agents.py.

Nobody passes ids around: the decorator says which agent runs, for whom and in which conversation, and all
that the function calls, the wrapped client included, is in that scope.
"""

import asyncio
from contextlib import chdir
from dataclasses import dataclass
from tempfile import TemporaryDirectory

from openai import AsyncOpenAI
from stand_in import MODEL, model_server

from headroom import Arg, current_memory, current_scope, remember, with_memory


@dataclass
class Thread:
    id: str
    user_id: str


@remember(user=Arg("thread.user_id"), session=Arg("thread.id"), agent="editor", turn=True)
async def edit(thread: Thread, wish: str) -> str:
    """Have an article written."""
    print(f"{thread.user_id}:")
    await current_memory().add("The printer needs it by noon", level="turn")  # forgotten when this returns
    said = await ask(wish)
    await research()
    draft = await write("Which language should the article on backend work use?")
    print(f"  {current_scope().agent_id} sees: {await visible()}")
    return f"{said} {draft}"


@remember(agent="researcher")
async def research() -> None:
    """What a researcher notes for itself stays its own; what it finds out for all is the user's."""
    memory = current_memory()
    await memory.add("Still has to check the Rust survey", category="context", level="agent")
    await memory.add("The article is due on Friday", category="context")
    print(f"  {current_scope().agent_id} sees: {await visible()}")


@remember(agent="writer")
async def write(brief: str) -> str:
    print(f"  {current_scope().agent_id} sees: {await visible()}")
    return await ask(brief)


async def visible() -> list[str]:
    """What the memory shows to the agent that asks."""
    found = await current_memory().search("article, research, survey, printer, language, backend", top_k=10)
    return sorted(memory.content for memory in found)


async def ask(question: str) -> str:
    response = await client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": question}]
    )
    return response.choices[0].message.content or ""


async def main() -> None:
    # A thread of the same name is another one where it is another user's.
    alice, bob = Thread("article-1", "alice"), Thread("article-1", "bob")
    print(" ", await edit(alice, "I prefer Python for backend work."))
    print(" ", await edit(bob, "I prefer Go for backend work."))


if __name__ == "__main__":
    with TemporaryDirectory() as folder, chdir(folder), model_server():  # memory.db is made here
        client = with_memory(AsyncOpenAI())
        asyncio.run(main())
