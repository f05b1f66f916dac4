"""One YAML file, read along the settings' types, so that each value keeps its line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

import yaml

from oq.settings.layers import Layers
from oq.settings.shapes import element, fields, is_list, is_section, may_be_empty
from oq.words.config import Config
from oq.words.errors import InvalidConfig


def read_file(path: Path, layers: Layers) -> None:
    """Put the file's values into the layers; InvalidConfig names the line that is wrong."""
    _File(path, layers).read()


class _File:
    def __init__(self, path: Path, layers: Layers) -> None:
        self._path = path
        self._layers = layers
        self._loader = yaml.SafeLoader("")

    def read(self) -> None:
        try:
            text = self._path.read_bytes()
        except OSError as error:
            raise InvalidConfig(f"cannot read {self._path}: {error.strerror}") from None
        node = self._compose(text)
        if node is not None:
            self._layers.values.update(self._section(node, Config, ""))

    def _compose(self, text: bytes) -> yaml.Node | None:
        """The YAML as nodes: plain loading would lose the lines and the second of two keys."""
        try:
            return yaml.compose(text, yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            what = error.problem or error.context or "it cannot be read"
            self._refuse(error.problem_mark or error.context_mark, f"this is not YAML: {what}")
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            reason = getattr(error, "reason", "it is not text")
            self._refuse(None, f"this is not YAML: {reason}")
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
            name = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
            key = f"{path}.{name}" if path else name
            mark = key_node.start_mark
            if name not in known:
                self._refuse(mark, f"{key}: unknown key{_hint(name, known)}")
            if name in lines:
                self._refuse(mark, f"{key}: given twice, first on line {lines[name]}")
            lines[name] = mark.line + 1
            values[name] = self._value(value_node, known[name], key)
        return values

    def _value(self, node: yaml.Node, kind: Any, key: str) -> object:
        if is_section(kind):
            self._layers.note(key, None, self._at(node.start_mark))
            return self._section(node, kind, key)
        if is_list(kind):
            return self._list(node, element(kind), key)
        if not isinstance(node, yaml.ScalarNode):
            self._refuse(node.start_mark, f"{key}: expected one value, not a list or a section")
        if _is_null(node) and not may_be_empty(kind):
            self._refuse(node.start_mark, f"{key}: there is no value; write one or remove the key")
        try:
            value = self._loader.construct_object(node)
        except (yaml.YAMLError, ValueError):
            kind_name = node.tag.rpartition(":")[2]
            self._refuse(node.start_mark, f"{key}: {node.value[:80]!r} is no good as {kind_name}")
        self._layers.note(key, value, self._at(node.start_mark))
        return value

    def _list(self, node: yaml.Node, kind: Any, key: str) -> list[object]:
        if _is_null(node):
            return []
        if not isinstance(node, yaml.SequenceNode):
            self._refuse(node.start_mark, f"{key}: expected a list, as in [a, b]")
        self._layers.note(key, "a list", self._at(node.start_mark))
        items = enumerate(node.value)
        return [self._value(item, kind, f"{key}[{index}]") for index, item in items]

    def _at(self, mark: Any) -> str:
        return f"{self._path}:{mark.line + 1}" if mark is not None else str(self._path)

    def _refuse(self, mark: Any, what: str) -> NoReturn:
        raise InvalidConfig(f"{self._at(mark)}: {what}") from None


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _hint(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(known)}"
