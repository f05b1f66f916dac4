"""One YAML file, read along the settings' types, so that each value keeps its line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

import yaml

from oq.settings.layers import Layers, is_secret
from oq.settings.shapes import (
    element,
    fields,
    is_list,
    is_optional,
    is_section,
    is_table,
    may_be_empty,
    table_values,
)
from oq.words.config import Config
from oq.words.errors import InvalidConfig

MAX_FILE = 256 * 1024
"""Bytes of a settings file."""

_NAME = 80
"""Characters of a key or a value that an error shows."""

_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,18})")
_FLOAT = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?\.(inf|nan)", re.I)
_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_TAGS = "tag:yaml.org,2002:"


_ADDRESS = "listen_addr"
_PORT_DIGITS = 5
FLAT = {
    "ollama_host": "ollama.host",
    "ollama_timeout": "ollama.timeout",
    "max_workers": "queue.max_workers",
    "storage_path": "queue.storage_path",
    "cleanup_interval": "queue.cleanup_interval",
    "max_completed_tasks": "queue.max_completed_tasks",
    "batch_size": "scheduler.batch_size",
    "scheduling_interval": "scheduler.scheduling_interval",
    "log_level": "logging.level",
    "log_file": "logging.file",
    _ADDRESS: "server.host and server.port",
}
"""Keys that ollama-queue writes outside of any section, and what they are called in one."""


def read_file(path: Path, layers: Layers) -> None:
    """Put the file's values into the layers; InvalidConfig names the line that is wrong."""
    _File(path, layers).read()


class _File:
    def __init__(self, path: Path, layers: Layers) -> None:
        self._path = path
        self._layers = layers
        self._flat_values: dict[str, tuple[object, str]] = {}

    def read(self) -> None:
        try:
            with self._path.open("rb") as file:
                text = file.read(MAX_FILE + 1)
        except (OSError, ValueError) as error:  # a ValueError for a path with a NUL in it
            reason = getattr(error, "strerror", None) or error
            raise InvalidConfig(f"cannot read {self._path}: {reason}") from None
        if len(text) > MAX_FILE:
            self._refuse(None, f"the file is larger than {MAX_FILE} bytes, the most that oq reads")
        node = self._compose(text)
        if node is not None:
            self._layers.values.update(self._section(node, Config, ""))
            self._put_flat()

    def _compose(self, text: bytes) -> yaml.Node | None:
        """The YAML as nodes: plain loading would lose the lines and the second of two keys."""
        try:
            return yaml.compose(text, yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            what = error.problem or error.context or "it cannot be read"
            if "alias" in f"{error.context} {what}" or "anchor" in f"{error.context} {what}":
                what += "; a name or value that begins with * or & needs quotes"
            self._refuse(error.problem_mark or error.context_mark, f"this is not YAML: {what}")
        except yaml.reader.ReaderError as error:
            raise InvalidConfig(f"{self._path}:{_unreadable(error, text)}") from None
        except (yaml.YAMLError, ValueError) as error:
            self._refuse(None, f"this is not YAML: {error}")
        except RecursionError:
            self._refuse(None, "this is nested too deeply")

    def _section(self, node: yaml.Node, kind: Any, path: str) -> dict[str, Any]:
        """The keys of one section, each converted as its type asks for."""
        if _is_null(node):
            return {}
        if not isinstance(node, yaml.MappingNode):
            what = f"{path} is a section" if path else "the file is made of sections"
            self._refuse(node.start_mark, f"{what}: expected lines of `key: value`")
        known = fields(kind)
        values: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            self._check_name(key_node, path)
            name = str(key_node.value)[:_NAME]
            key = f"{path}.{name}" if path else name
            mark = key_node.start_mark
            if not path and name in FLAT:
                self._flat(name, value_node, mark)
                continue
            if name not in known:
                self._refuse(mark, f"{key}: unknown key{_hint(name, known)}")
            if name in lines:
                self._refuse(mark, f"{key}: given twice, first on line {lines[name]}")
            lines[name] = mark.line + 1
            values[name] = self._value(value_node, known[name], key)
        return values

    def _flat(self, name: str, node: yaml.Node, mark: Any) -> None:
        """A key as ollama-queue writes it, outside of any section."""
        key = FLAT[name]
        if name in self._flat_values:
            self._refuse(mark, f"{name}: given twice")
        section, _, part = key.partition(".")
        kind = str if name == _ADDRESS else fields(fields(Config)[section])[part]
        self._flat_values[name] = self._value(node, kind, key), self._at(mark)
        self._layers.remarks.append(f"{self._at(mark)}: {name} is an old name; write {key} instead")

    def _put_flat(self) -> None:
        """A key in its section is the newer way to say it, and holds."""
        for name, (value, origin) in self._flat_values.items():
            given = {FLAT[name]: value}
            if name == _ADDRESS:
                host, _, port = str(value).rpartition(":")
                if not port.isdecimal() or len(port) > _PORT_DIGITS:
                    raise InvalidConfig(f"{origin}: {name}: {value!r} is not host:port")
                given = {"server.port": int(port)} | ({"server.host": host} if host else {})
            for key, one in given.items():
                section, _, part = key.partition(".")
                if part not in self._layers.values.get(section, {}):
                    self._layers.put(key, one, origin)

    def _value(self, node: yaml.Node, kind: Any, key: str) -> object:
        if is_section(kind):
            self._layers.note(key, None, self._at(node.start_mark))
            return self._section(node, kind, key)
        if is_list(kind) and not (is_optional(kind) and _is_null(node)):
            return self._list(node, element(kind), key)
        if is_table(kind):
            return self._table(node, table_values(kind), key)
        if not isinstance(node, yaml.ScalarNode):
            self._refuse(node.start_mark, f"{key}: expected one value, not a list or a section")
        if _is_null(node) and not may_be_empty(kind):
            self._refuse(node.start_mark, f"{key}: there is no value; write one or remove the key")
        try:
            value = _scalar(node)
        except ValueError as error:
            shown = "***" if is_secret(key) else repr(node.value[:_NAME])
            self._refuse(node.start_mark, f"{key}: {shown} {error}")
        self._layers.note(key, value, self._at(node.start_mark))
        return value

    def _list(self, node: yaml.Node, kind: Any, key: str) -> list[object]:
        if _is_null(node):
            return []
        if not isinstance(node, yaml.SequenceNode):
            self._refuse(node.start_mark, f"{key}: expected a list, such as [a, b]")
        self._layers.note(key, "a list", self._at(node.start_mark))
        items = enumerate(node.value)
        return [self._value(item, kind, f"{key}[{index}]") for index, item in items]

    def _table(self, node: yaml.Node, kind: Any, key: str) -> dict[str, object]:
        """Values by names that are the user's."""
        if _is_null(node):
            return {}
        if not isinstance(node, yaml.MappingNode):
            self._refuse(node.start_mark, f"{key}: expected names with values, such as {{a: 1}}")
        self._layers.note(key, "a table", self._at(node.start_mark))
        values: dict[str, object] = {}
        for name_node, value_node in node.value:
            self._check_name(name_node, key)
            try:
                name = _text(name_node.value)
            except ValueError as error:
                self._refuse(name_node.start_mark, f"{key}: {name_node.value[:_NAME]!r} {error}")
            if name in values:
                self._refuse(name_node.start_mark, f"{key}: {name[:_NAME]!r} is given twice")
            values[name] = self._value(value_node, kind, f"{key}.{name}")
        return values

    def _check_name(self, node: yaml.Node, path: str) -> None:
        """There is one text before the colon. In {?: 2} there is none: the mark begins a key."""
        if not isinstance(node, yaml.ScalarNode) or not (node.value or node.style):
            where = f"{path}: " if path else ""
            what = "expected a name before the colon; one that begins with ? [ or { needs quotes"
            self._refuse(node.start_mark, where + what)

    def _at(self, mark: Any) -> str:
        return f"{self._path}:{mark.line + 1}" if mark is not None else str(self._path)

    def _refuse(self, mark: Any, what: str) -> NoReturn:
        raise InvalidConfig(f"{self._at(mark)}: {what}") from None


def _scalar(node: yaml.ScalarNode) -> object:
    """The value as people read it. YAML 1.1 reads more: 010 is 8 there, 1:30 is 90, and 2026-01-01
    a date. Who writes such a thing does not mean that; ValueError says what to write.
    """
    text: str = node.value
    match node.tag.removeprefix(_TAGS):
        case "null":
            return None
        case "str":
            return _text(text)
        case "int" if _INT.fullmatch(text):
            return int(text)
        case "float" if _FLOAT.fullmatch(text):
            return float(text.replace(".inf", "inf").replace(".nan", "nan"))
        case "bool" if text.lower() in _TRUE + _FALSE:
            return text.lower() in _TRUE
        case "int" | "float":
            raise ValueError("can be read as more than one number; write it in decimal digits")
        case "bool":
            raise ValueError("is neither true nor false")
        case "timestamp" | "merge" | "value":
            raise ValueError("means something else in YAML; put it in quotes")
        case tag:
            raise ValueError(f"has the tag {tag[:_NAME]}; write the value without one")


def _text(text: str) -> str:
    if found := _CONTROL.search(text):
        raise ValueError(f"has the character {found[0]!r}, which no setting needs")
    return text


def _unreadable(error: yaml.reader.ReaderError, text: bytes) -> str:
    """The line, and what is wrong with the bytes or characters of the file."""
    if error.encoding == "unicode":  # then it could be decoded
        before = text.decode(errors="replace")[: error.position].encode()
        wrong = f"the character {chr(error.character)!r} is not allowed"
    else:
        before = text[: error.position]
        wrong = f"the byte 0x{error.character:02x} is no {error.encoding}"
    line = before.count(b"\n") + 1
    return f"{line}: this is not YAML: {wrong}; save the file as UTF-8"


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _hint(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(known)}"
