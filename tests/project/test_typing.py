"""The programs that mypy reads as a user's use every verb that there is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import oq

PROGRAMS = Path(__file__).parents[1] / "typing"
FACES = {
    "client": oq.Client,
    "async_client": oq.AsyncClient,
    "blocking_queue": oq.BlockingQueue,
    "embedded": oq.Queue,
}


def used(name: str) -> set[str]:
    """The names of all attributes in a program."""
    tree = ast.parse((PROGRAMS / f"{name}.py").read_text())
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def verbs(face: type) -> set[str]:
    """Its public methods. A running queue has more for the faces: users know the client's verbs."""
    named = {name for name in dir(face) if name[0] != "_" and callable(getattr(face, name))}
    return named & verbs(oq.AsyncClient) if face is oq.Queue else named


@pytest.mark.parametrize("name", FACES)
def test_every_verb_of_a_face_is_used(name):
    assert len(verbs(FACES[name])) > 15
    assert verbs(FACES[name]) - used(name) == set()


def test_everything_that_makes_a_task_or_opens_a_queue_is_used():
    program = used("builders") | used("embedded") | used("async_client")
    assert {"chat", "generate", "embed", "Config", "open_queue", "watch"} <= program


@pytest.mark.parametrize("path", sorted(PROGRAMS.glob("*.py")), ids=lambda path: path.stem)
def test_a_user_needs_the_names_of_oq_itself_only(path):
    assert re.findall(r"^\s*(?:from|import) oq\..*", path.read_text(), re.M) == []
