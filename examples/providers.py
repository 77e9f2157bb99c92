"""Clients of several providers, one memory, many users: python examples/providers.py.

Alice tells Groq something, and Azure OpenAI knows; Bob, at the same time on the same clients, has his own.
With GROQ_API_KEY, or AZURE_OPENAI_ENDPOINT and AZURE_OPENAI_API_KEY, set, it talks to the provider itself.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from tempfile import TemporaryDirectory
from typing import Any

from groq import Groq
from openai import AzureOpenAI

from headroom import bind, with_memory
from headroom.testing import ScriptedServer, remembering


def groq(stand_in: ScriptedServer) -> tuple[Any, str]:
    if "GROQ_API_KEY" in os.environ:
        return Groq(), "llama-3.3-70b-versatile"
    return Groq(base_url=stand_in.url, api_key="not needed"), "llama-3.3-70b-versatile"


def azure(stand_in: ScriptedServer) -> tuple[Any, str]:
    if "AZURE_OPENAI_API_KEY" in os.environ:
        return AzureOpenAI(api_version="2024-10-21"), os.environ.get("AZURE_OPENAI_DEPLOYMENT", "gpt-4o")
    client = AzureOpenAI(azure_endpoint=stand_in.url, api_key="not needed", api_version="2024-10-21")
    return client, "gpt-4o"


def ask(client: Any, model: str, question: str) -> str:
    response = client.chat.completions.create(model=model, messages=[{"role": "user", "content": question}])
    answer: str = response.choices[0].message.content
    return answer


def main() -> None:
    with ScriptedServer(remembering) as stand_in:
        (groq_client, groq_model), (azure_client, azure_model) = groq(stand_in), azure(stand_in)
        # Wrapped once, without a user: they serve whomever the code is running for.
        groq_client, azure_client = with_memory(groq_client), with_memory(azure_client)

        def conversation(user: str, preference: str) -> list[str]:
            with bind(user_id=user):
                told = ask(groq_client, groq_model, preference)
                asked = ask(azure_client, azure_model, "Which language should I use for backend work?")
            return [
                f"{user} to Groq:  {preference}",
                f"    {told}",
                f"{user} to Azure: Which language …?",
                f"    {asked}",
            ]

        with ThreadPoolExecutor() as threads:
            people = {"alice": "I prefer Python for backend work.", "bob": "I prefer Go for backend work."}
            for lines in threads.map(conversation, people.keys(), people.values()):
                print("\n".join(lines))


if __name__ == "__main__":
    with TemporaryDirectory() as folder, chdir(folder):  # memory.db is made here
        main()
