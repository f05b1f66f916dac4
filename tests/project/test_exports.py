"""The public names: all there, all documented, and the same for people and for type checkers."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import oq
from oq.words import errors

DOOR = ast.parse(Path(oq.__file__).read_text())
CLASSES = [name for name in oq.__all__ if inspect.isclass(getattr(oq, name))]
FUNCTIONS = [name for name in oq.__all__ if inspect.isfunction(getattr(oq, name))]


def public_members() -> list[str]:
    """What oq itself defines on its public classes, as ``"Client.submit"``."""
    found = []
    for name in CLASSES:
        for member, value in inspect.getmembers(getattr(oq, name)):
            if not member.startswith("_") and is_described(value):
                found.append(f"{name}.{member}")
    return found


def is_described(member: object) -> bool:
    """Methods and properties; constants and fields are described by their class."""
    function = member.fget if isinstance(member, property) else member
    module = getattr(function, "__module__", None) or ""
    return inspect.isroutine(function) and module.split(".")[0] == "oq"


MEMBERS = public_members()


def look_up(path: str) -> typing.Any:
    found: typing.Any = oq
    for name in path.split("."):
        found = getattr(found, name)
    return found


def test_there_are_names_to_look_at():
    assert {"open_queue", "chat", "generate", "embed"} <= set(FUNCTIONS)
    assert {"Client", "AsyncClient", "BlockingQueue", "Queue", "Task", "Event"} <= set(CLASSES)
    assert {"Client.submit", "Queue.result", "BlockingQueue.close"} <= set(MEMBERS)


def test_every_public_name_is_a_class_or_a_function():
    assert set(CLASSES) | set(FUNCTIONS) == set(oq.__all__)


@pytest.mark.parametrize("path", [*FUNCTIONS, *MEMBERS])
def test_a_function_says_what_it_promises(path):
    described(look_up(path).__doc__, path)


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_says_what_it_is(name):
    described(vars(getattr(oq, name)).get("__doc__"), name)  # its own words, not its parent's


def described(text: str | None, path: str) -> None:
    """A docstring in sentences: an initial capital or code, and a full stop somewhere."""
    assert text, f"oq.{path} has no docstring"
    text = inspect.cleandoc(text)
    assert text[0].isupper() or text[0] in "`/_", f"oq.{path}: {text[:40]!r}"
    assert "." in text, f"oq.{path} has no sentence"
    assert not text.startswith("An enumeration"), f"oq.{path} has Python's docstring"


@pytest.mark.parametrize("path", [*FUNCTIONS, *MEMBERS])
def test_a_function_says_what_it_takes_and_gives(path):
    found = look_up(path)
    function = inspect.unwrap(found.fget if isinstance(found, property) else found)
    signature = inspect.signature(function)
    assert signature.return_annotation is not signature.empty, path
    for parameter in signature.parameters.values():
        if parameter.name not in ("self", "cls"):
            assert parameter.annotation is not parameter.empty, f"{path}({parameter.name})"


VERBS_THAT_REFUSE = ["submit", "get", "cancel", "set_priority", "retry", "delete", "result"]


@pytest.mark.parametrize("face", [oq.Queue, oq.BlockingQueue])
@pytest.mark.parametrize("verb", VERBS_THAT_REFUSE)
def test_a_verb_names_the_errors_that_it_raises(face, verb):
    assert names_an_error(getattr(face, verb).__doc__)


def test_a_docstring_without_errors_would_be_noticed():
    assert not names_an_error("Start tasks again.")


def names_an_error(text: str) -> bool:
    return any(name in text for name in vars(errors) if name[0].isupper())


def test_every_error_is_in_the_tree_that_is_drawn():
    drawn = errors.__doc__ or ""
    for name, value in vars(errors).items():
        if inspect.isclass(value) and issubclass(value, errors.OqError):
            assert f" {name} " in f"{drawn.replace(chr(10), ' ')} ", name


# -- the door


def for_type_checkers() -> set[tuple[str, str]]:
    """(module, name) of what is imported under TYPE_CHECKING."""
    (block,) = (
        node
        for node in DOOR.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    found = set()
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            assert alias.asname == alias.name, f"{alias.name}: `as` makes it an export"
            found.add((node.module or "", alias.name))
    return found


def test_type_checkers_and_programs_see_the_same():
    lazy = {(module, name) for module, names in oq._HOMES.items() for name in names}
    assert for_type_checkers() == lazy
    assert oq.__all__ == sorted(name for _, name in lazy)
    assert dir(oq) == oq.__all__


def test_each_name_is_loaded_from_its_home():
    for name in oq.__all__:
        assert getattr(oq, name).__name__ == name


def test_a_name_that_there_is_not_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = oq.Nonsense


def say(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_everything_can_be_imported_at_once():
    said = say("from oq import *; print(*sorted(n for n in dir() if n[0] != '_'))")
    assert said.split() == oq.__all__


@pytest.mark.parametrize(
    ("name", "not_loaded"),
    [("Client", "rocksdict"), ("Client", "quart"), ("Task", "httpx"), ("open_queue", "quart")],
)
def test_a_name_does_not_load_what_it_does_not_need(name, not_loaded):
    said = say(f"import sys, oq; oq.{name}; print({not_loaded!r} in sys.modules)")
    assert said.strip() == "False"
