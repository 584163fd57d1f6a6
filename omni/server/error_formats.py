"""Failures that no route explains, in the words of the protocol that a path belongs to."""

from importlib import import_module

from omni.server.routes import Problem

_ROOMS = (("/api/", "ollama"), ("/v1/messages", "anthropic"), ("/omni/", "webapi"))


def problem_at(path: str) -> Problem:
    """Writes failures as clients of `path` read them; OpenAI's words, where nobody can tell."""
    room = next((room for start, room in _ROOMS if path.startswith(start)), "openai")
    problem: Problem = import_module(f"omni.server.{room}.problems").problem
    return problem
