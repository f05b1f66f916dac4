"""The house's rules, read off its source: what may import what, and how large things may grow."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import get_type_hints

import pytest

import oq
from oq.dialects import DIALECTS, ENDPOINTS
from oq.http.bulk import BulkFilter
from oq.http.gateway.openapi import GATEWAY
from oq.http.request import Request
from oq.http.routes import ROUTES
from oq.queue import Queue, RawQueue
from oq.rules.filters import TaskFilter
from oq.words.which import CONDITIONS, IN_HTTP, Wanted

HOUSE = Path(oq.__file__).parent
TESTS = Path(__file__).parents[1]
FILES = sorted(HOUSE.rglob("*.py"))
MODULES = {
    ".".join(["oq", *path.relative_to(HOUSE).with_suffix("").parts]).removesuffix(".__init__"): path
    for path in FILES
}

FLOORS = {
    "words": 0,
    "rules": 1,
    "dialects": 2,
    "plan": 2,
    "store": 3,
    "backends": 3,
    "settings": 3,
    "logs": 3,
    "actors": 4,
    "queue": 5,
    "blocking": 6,
    "http": 6,
    "client": 6,
    "cli": 7,
}
MOST_LINES_OF_A_FILE, MOST_LINES_OF_A_FUNCTION = 400, 60


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(tree(path)))


@cache
def imports(path: Path) -> frozenset[str]:
    """Every module that the file imports, anywhere in it."""
    return frozenset(_imported(path))


def _imported(path: Path) -> Iterator[str]:
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: a relative import"
            module = node.module or ""
            for alias in node.names:
                full = f"{module}.{alias.name}"
                yield full if full in MODULES else module


def part(module: str) -> str:
    """The part of the house that a module of oq is in; "" for oq itself."""
    return ".".join(module.split(".")[1:2])


def imported_parts(name: str) -> set[str]:
    return {part(module) for module in imports(MODULES[name]) if module.split(".")[0] == "oq"}


def of(*parts: str) -> list[str]:
    return [name for name in MODULES if part(name) in parts]


# -- the floors


def test_every_part_of_the_house_has_its_floor():
    assert {part(name) for name in MODULES} - {""} == set(FLOORS)


def test_imports_only_go_down():
    assert [
        f"{name} imports {other or 'oq itself'}"
        for name in MODULES
        for other in sorted(imported_parts(name) - {part(name)})
        if part(name) and not (other and FLOORS[other] < FLOORS[part(name)])
    ] == []


def test_the_door_loads_nothing_by_itself():
    at_once = [
        node
        for node in tree(MODULES["oq"]).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        and "oq" in ast.unparse(node).split()[1].split(".")
    ]
    assert at_once == []


def test_a_client_knows_the_words_only():
    assert {other for name in of("client") for other in imported_parts(name)} <= {"client", "words"}


@pytest.mark.parametrize("face", ["http", "cli"])
def test_faces_know_neither_actors_nor_the_store(face):
    assert [name for name in of(face) if imported_parts(name) & {"actors", "store"}] == []


def is_actor(name: str) -> bool:
    """Whether the module has a class that runs as a task of its own."""
    return any(
        isinstance(node, ast.AsyncFunctionDef) and node.name == "run"
        for node in nodes(MODULES[name])
    )


def test_there_are_actors_to_look_at():
    actors = {name.split(".")[-1] for name in of("actors") if is_actor(name)}
    assert actors >= {"writer", "scheduler", "timer", "pool", "hub"}


def test_actors_do_not_know_each_other():
    """They may share what is none, as a subscriber's mailbox is."""
    assert [
        f"{name} imports {other}"
        for name in of("actors")
        for other in imports(MODULES[name])
        if part(other) == "actors" and is_actor(other)
    ] == []


def test_nothing_imports_in_circles():
    """Not even inside one part."""
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path, name])
        if name not in done:
            for other in at_load(name):
                visit(other, (*path, name))
            done.add(name)

    for name in MODULES:
        visit(name, ())


def at_load(name: str) -> set[str]:
    """The modules of oq that are imported as this one is loaded."""
    found = set()
    for node in tree(MODULES[name]).body:
        if isinstance(node, ast.ImportFrom) and node.module in MODULES:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in MODULES else node.module)
    return found - {name}


# -- who knows the world outside

ROCKS = {"oq.store.rocks", "oq.store.wal"}


def test_rocksdb_is_known_to_the_engine_and_to_who_looks_through_its_log_and_nobody_else():
    assert {name for name, path in MODULES.items() if "rocksdict" in imports(path)} == ROCKS


LEDGER = {"Durable", "Ledger", "Parts", "Record", "Slice", "Want"}
"""What a ledger is asked by, and what it gives."""
AT_THE_ENDS = {"open_ledger", "report", "salvage", "shutdown_note"}
"""What else the queue has of the store, as it opens and closes."""


def test_the_queue_and_its_actors_know_their_store_as_a_ledger_only():
    known = {
        (name, alias.name if node.module == "oq.store" else str(node.module).split(".")[2])
        for name in of("actors", "queue")
        for node in nodes(MODULES[name])
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("oq.store")
        for alias in node.names
    }
    assert {name for name, _ in known} > {"oq.actors.writer", "oq.queue.core"}
    assert {what for name, what in known if name.startswith("oq.actors.")} == {"Ledger"}
    assert {what for _, what in known} <= LEDGER | AT_THE_ENDS


def test_only_the_store_encodes_records():
    """A slice of a stream is the same bytes in memory, where readers share it, and on disk. What is
    digested for an idempotency key is no record.
    """
    others = {name for name in MODULES if part(name) != "store"}
    encoding = {name for name in others if "msgpack" in MODULES[name].read_text()}
    assert encoding == {"oq.rules.slices", "oq.rules.fingerprint"}


def test_the_insides_of_hypercorn_and_h11_are_known_to_one_file():
    inside = ("hypercorn.protocol", "h11._", "wsproto")
    knows = {n for n, path in MODULES.items() if any(m.startswith(inside) for m in imports(path))}
    assert knows == {"oq.http.http1"}


PURE = ("words", "rules", "dialects", "plan")
PURE_MODULES = {
    "base64",
    "binascii",
    "__future__",
    "abc",
    "bisect",
    "collections",
    "contextlib",
    "dataclasses",
    "datetime",
    "difflib",
    "enum",
    "fnmatch",
    "functools",
    "inspect",  # the signatures of functions, for their help
    "hashlib",
    "heapq",
    "itertools",
    "zlib",  # checksums, and bodies that are compressed
    "backports",  # zstd, likewise
    "compression",  # the same from Python 3.14 on
    "json",  # reads what msgspec does not: NaN, half a surrogate pair
    "math",
    "msgspec",
    "operator",
    "oq",
    "re",
    "sortedcontainers",
    "statistics",
    "typing",
    "uuid",
    "uuid_utils",
    "weakref",
}
"""What the pure parts may be made of. `uuid_utils` draws random numbers, no more."""

EXCEPTIONS = {
    "oq.words.clock": {"time"},  # where the time comes from
    "oq.words.channels": {"trio"},  # the types of channels
    "oq.words.receipts": {"trio"},  # the event that settles a receipt
    "oq.dialects.inflating": {"sys"},  # which Python it is
    "oq.rules.calibration": {"random"},  # with a seed: always the same
}
ASKS_THE_WORLD = {"open", "print", "input", "now", "utcnow", "today", "sleep", "getenv"}


def test_the_pure_parts_are_made_of_nothing_that_knows_the_world():
    for name in of(*PURE):
        allowed = PURE_MODULES | EXCEPTIONS.get(name, set())
        assert {module.split(".")[0] for module in imports(MODULES[name])} - allowed == set(), name


def test_the_pure_parts_ask_the_world_nothing():
    assert [
        f"{name}:{line} calls {called}"
        for name in of(*PURE)
        for line, called in calls(MODULES[name])
        if called.split(".")[-1] in ASKS_THE_WORLD
    ] == []


def calls(path: Path) -> Iterator[tuple[int, str]]:
    """Every call in the file: its line, and what is called."""
    for node in nodes(path):
        if isinstance(node, ast.Call):
            yield node.lineno, _dotted(node.func)


def _dotted(node: ast.expr) -> str:
    """The name of what is called, as far as it is made of names: "trio.sleep"."""
    match node:
        case ast.Name(name):
            return name
        case ast.Attribute(of, name):
            return f"{_dotted(of)}.{name}"
    return ""


# -- who knows which dialect is meant


DIALECT_MODULES = {f"oq.dialects.{dialect.name}" for dialect in DIALECTS}
KNOW_A_DIALECT = ("oq.backends.", "oq.dialects")
PREFIXES = {
    form
    for dialect in DIALECTS
    for prefix in dialect.prefixes
    for form in (prefix, prefix.rstrip("/"))
}
_A_DIALECT = re.compile(r"(\w+\.)*(dialect|dialect\.name|dialect\.title)", re.IGNORECASE)


def means_a_dialect(node: ast.AST) -> bool:
    text = ast.unparse(node)
    return bool(_A_DIALECT.fullmatch(text)) or text in {one.name.upper() for one in DIALECTS}


def asks_which_dialect(node: ast.AST) -> bool:
    """Whether it compares a dialect with one of them, or a path with the prefix of one; whether
    there is any may be asked.
    """
    if isinstance(node, ast.Match):
        return means_a_dialect(node.subject)
    if isinstance(node, ast.Call):
        said = {part.value for part in ast.walk(node) if isinstance(part, ast.Constant)}
        return ast.unparse(node.func).endswith(".startswith") and not said.isdisjoint(PREFIXES)
    if not isinstance(node, ast.Compare) or ast.unparse(node.comparators[0]) == "None":
        return False
    same = isinstance(node.ops[0], ast.Is | ast.IsNot | ast.Eq | ast.NotEq)
    return same and any(map(means_a_dialect, (node.left, *node.comparators)))


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("dialect is OLLAMA", True),
        ("call.dialect.name == 'ollama'", True),
        ("one.other != OPENAI", True),
        ("match call.dialect:\n    case 1: pass", True),
        ("path.startswith('/v1/')", True),
        ("path.startswith(('/api', '/other'))", True),
        ("path.startswith('/v1/models/')", False),
        ("dialect is None", False),
        ("call.dialect in backend.speaks", False),
    ],
)
def test_a_branch_by_dialect_would_be_seen(text, seen):
    assert any(map(asks_which_dialect, ast.walk(ast.parse(text)))) is seen


def test_nobody_asks_which_dialect_it_is():
    """They ask the dialect. A third one would be forgotten in such a branch."""
    assert [
        f"{name}:{node.lineno}"
        for name, path in MODULES.items()
        for node in nodes(path)
        if asks_which_dialect(node)
    ] == []


def test_the_path_of_a_call_stands_in_its_dialect_alone():
    """A list of paths elsewhere would not have those of the next dialect. oq's own translations
    know theirs: that is what they are for.
    """
    translations = ("oq.dialects.", "oq.backends.", "oq.cli.batch.")
    assert [
        f"{name}:{node.lineno} {node.value}"
        for name, path in MODULES.items()
        if not name.startswith(translations)
        for node in nodes(path)
        if isinstance(node, ast.Constant) and node.value in {*ENDPOINTS, *PREFIXES}
    ] == []


def test_only_backends_and_the_list_of_dialects_know_one_by_name():
    assert [
        f"{name} imports {other}"
        for name, path in MODULES.items()
        for other in imports(path)
        if other in DIALECT_MODULES and not name.startswith(KNOW_A_DIALECT)
    ] == []


# -- how large, and what is said


def test_a_file_stays_a_few_screens_long():
    lengths = {name: len(path.read_text().splitlines()) for name, path in MODULES.items()}
    assert {n: lines for n, lines in lengths.items() if lines > MOST_LINES_OF_A_FILE} == {}


def test_a_function_stays_one_screen_long():
    assert [
        f"{name}.{node.name} has {lines} lines"
        for name, path in MODULES.items()
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > MOST_LINES_OF_A_FUNCTION
    ] == []


def test_a_module_says_what_it_is_for():
    assert [name for name, path in MODULES.items() if not ast.get_docstring(tree(path))] == []


def test_no_module_is_a_drawer_for_odds_and_ends():
    drawers = {"utils", "util", "common", "helpers", "misc", "manager"}
    assert [name for name in MODULES if name.split(".")[-1] in drawers] == []


def test_a_class_that_others_see_says_what_it_promises():
    assert [
        f"{name}.{node.name}"
        for name, path in MODULES.items()
        for node in tree(path).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        if not ast.get_docstring(node) and "Protocol" not in map(ast.unparse, node.bases)
    ] == []


@pytest.mark.parametrize("name", getattr(oq, "__all__", []))
def test_a_public_name_exists_and_is_documented(name):
    assert getattr(oq, name).__doc__


# -- the map


ROOMS = {name: path.parent for name, path in MODULES.items() if path.name == "__init__.py"}
MAPS = [
    *(
        HOUSE.parent / f"{name}.md"
        for name in ("ARCHITECTURE", "CONTRIBUTING", "README", "SECURITY")
    ),
    *(HOUSE.parent / "docs").glob("*.md"),
]
A_PATH = re.compile(
    r"`((?:oq|bench|docs|examples|requirements|tests|tools|web)/[\w./]+|[\w/]+\.py)`"
)
A_LINE_OF_A_ROOM = re.compile(r"^ *(\w+)  +\S", re.MULTILINE)


def said_of(room: str) -> str:
    return ast.get_docstring(tree(MODULES[room])) or ""


@pytest.mark.parametrize("room", sorted(ROOMS.keys() - {"oq"}))
def test_the_docstring_of_a_room_says_what_is_in_it(room):
    """A reader looks there for where something is. "`name` does this", or behind its neighbour."""
    inside = {path.stem for path in ROOMS[room].glob("*.py")} - {"__init__", "__main__"}
    inside |= {path.parent.name for path in ROOMS[room].glob("*/__init__.py")}
    said = said_of(room)
    assert {name for name in inside if not re.search(rf"\b{name}\b", said)} == set()
    assert set(A_LINE_OF_A_ROOM.findall(said)) - inside == set()


def test_a_room_that_says_its_floor_is_on_it():
    said = {name: re.match(r"Floor (\d):", said_of(f"oq.{name}")) for name in FLOORS}
    floors = {name: int(found[1]) for name, found in said.items() if found}
    assert floors == {name: FLOORS[name] for name in floors}
    assert {"words", "rules", "dialects", "store", "actors", "queue"} <= set(floors)


def test_the_map_names_each_part_of_the_house():
    named = (HOUSE.parent / "ARCHITECTURE.md").read_text()
    assert [name for name in FLOORS if f"`oq/{name}/`" not in named] == []


@pytest.mark.parametrize("document", MAPS, ids=lambda path: path.name)
def test_a_path_in_a_document_leads_somewhere(document):
    """`oq/rules/line.py`, or `line.py` where there is one of this name."""
    paths = [f"/{path.relative_to(HOUSE.parent)}" for path in FILES]
    assert [
        named
        for named in A_PATH.findall(document.read_text())
        if not (HOUSE.parent / named).exists()
        and sum(path.endswith(f"/{named}") for path in paths) != 1
    ] == []


# -- tests


def test_no_test_waits_by_sleeping():
    """`time.sleep` stops everything for a while and hopes; trio's clock can be moved on."""
    assert [
        f"{path.relative_to(TESTS)}:{line}"
        for path in sorted(TESTS.rglob("*.py"))
        if "sleep(" in path.read_text()  # to parse all of them takes seconds
        for line, called in calls(path)
        if called in ("time.sleep", "sleep")
    ] == []


def test_the_filter_is_declared_once():
    """`oq.words.which.Which` is the declaration, and `TaskFilter` its checked form: query, bulk
    body, keywords and options are made from it. So nobody else names its fields together.
    """
    declared = {"status", "type", "priority", "model"}
    several = {
        f"{path.relative_to(HOUSE)}:{node.lineno}"
        for path in FILES
        for node in nodes(path)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and declared <= {each.arg for each in (*node.args.args, *node.args.kwonlyargs)}
    }
    assert several == set()


def test_the_checked_filter_has_the_fields_of_the_declared_one():
    checked = set(TaskFilter.__struct_fields__)
    # The one field beside them is who asks, which no request says.
    assert checked == set(Wanted.__annotations__) | {"seen_by"}
    assert set(CONDITIONS) < checked
    assert BulkFilter.__struct_fields__ == tuple(IN_HTTP.values())


# -- the door


def test_requests_are_made_and_the_guard_is_asked_in_one_place():
    def who(calls_it: str) -> set[str]:
        return {
            name
            for name in of("http")
            for _, called in calls(MODULES[name])
            if called.split(".")[-1] == calls_it
        }

    assert who("judge") == who("Guard") == who("Caller") == {"oq.http.door"}
    assert who("Request") - {"oq.http.http1"} == {"oq.http.door"}  # there it is one of h11


def test_every_handler_takes_a_request_that_came_through_the_door():
    """And so its caller. `oq.http.app` takes that out of what Quart passes on."""
    handlers = [route.handler for route in (*ROUTES, *GATEWAY)]
    assert [
        handler.__qualname__
        for handler in handlers
        if get_type_hints(handler).get("request") is not Request
    ] == []
    quarts = {"quart.request", "quart.websocket", "quart.wrappers.Request"}
    knows = {name for name in of("http") if names_imported(MODULES[name]) & quarts}
    assert knows == {"oq.http.app", "oq.http.errors"}


def test_handlers_have_the_queue_from_their_request():
    """There its verbs know the caller. The gateway's calls carry theirs (`NewCall.caller`)."""
    knows = {name for name in of("http") if "oq.queue.Queue" in names_imported(MODULES[name])}
    handlers = ("router", "calls", "proxy", "background", "kept_responses", "response_stream")
    gateway = {f"oq.http.gateway.{name}" for name in handlers}
    assert knows == {"oq.http.app", "oq.http.door", "oq.http.stopping", *gateway}
    bind = {
        name
        for name in of("http")
        for _, called in calls(MODULES[name])
        if called.split(".")[-1] in ("on_behalf_of", "raw")
    }
    assert bind == {"oq.http.door"}


def test_a_queue_has_one_vocabulary():
    """What the raw verbs have beyond those of `oq.Queue` is no verb of a user's."""
    raw, queue = (
        {name for name in vars(kind) if not name.startswith("_")} for kind in (RawQueue, Queue)
    )
    beside = {"caller", "content", "limits", "check_known", "check_ready", "encode_event", "now"}
    assert raw - queue == beside | {"config", "eta_header", "oldest_waiting", "timeline_spans"}


def names_imported(path: Path) -> set[str]:
    """Every name that the file imports, with its module."""
    return {
        f"{node.module}.{alias.name}"
        for node in nodes(path)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
