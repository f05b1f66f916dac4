"""`backends[].model_limits` in a settings file: names that are the user's, each with its line."""

from __future__ import annotations

import pytest

from oq.settings import load_settings
from oq.words.errors import InvalidConfig

FILE = """\
backends:
  - name: box
    kind: simulated
    model_limits:
"""


@pytest.fixture
def load(tmp_path):
    """Read a file with these limits."""

    def load(limits: str):
        file = tmp_path / "config.yaml"
        file.write_text(FILE + limits)
        return load_settings(str(file))

    return load


def test_limits_are_read_in_the_order_of_the_file(load):
    settings = load('      llama3:70b: 1\n      "nomic-*": 16\n      10: auto\n')
    [backend] = settings.config.backends
    assert list(backend.model_limits.items()) == [
        ("llama3:70b", 1), ("nomic-*", 16), ("10", "auto"),
    ]  # fmt: skip
    rows = {key: (value, origin) for key, value, origin in settings.rows()}
    value, origin = rows["backends[0].model_limits"]
    assert value == "llama3:70b: 1, nomic-*: 16, 10: auto"
    assert origin.endswith("config.yaml:5")


@pytest.mark.parametrize(
    ("limits", "idle"),
    [
        ({"*": 2, "a": 1}, {"a": "'*' stands before it and fits the same models"}),
        ({"a": 1, "*": 2}, {}),
        ({"a:latest": 1, "a": 2}, {"a": "'a:latest'"}),
        ({"a": 1, "a:7b": 2}, {}),
        ({"a*": 1, "a?": 2, "ab*": 3, "*": 4}, {"a?": "'a*'", "ab*": "'a*'"}),
        ({"a?": 1, "a*": 2}, {}),
        ({"?": 1, "*": 2}, {}),
        ({"*:latest": 1, "*": 2, "*x": 2}, {"*x": "'*'"}),
        ({"*:latest": 1, "b": 2, "b:7b": 2}, {"b": "'*:latest'"}),
        ({"a": 9}, {"a": "max_concurrency is 8"}),
        ({"a": 8}, {}),
        ({"a": 9, "*": 1}, {}),
        ({"a": 9, "b": "auto"}, {"a": "max_concurrency is 8"}),
    ],
)
def test_one_that_is_never_reached_is_told(load, limits, idle):
    lines = [f'      "{name}": {limit}\n' for name, limit in limits.items()]
    remarks = load("".join(lines) + "    max_concurrency: 8\n").remarks
    assert len(remarks) == len(idle)
    for remark, (name, why) in zip(remarks, idle.items(), strict=True):
        line = 5 + list(limits).index(name)
        said = f"config.yaml:{line}: backends[0].model_limits.{name} has no effect: {why}"
        assert said in remark


def test_without_any_there_is_nothing_to_show(load):
    settings = load("")
    assert settings.config.backends[0].model_limits == {}
    rows = {key: value for key, value, _ in settings.rows()}
    assert rows["backends[0].model_limits"] == ""


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        (
            "      x: 1\n      y:7b: 0\n",
            ":6: backends[0].model_limits.y:7b: 0 is no number of tasks",
        ),
        ("      x: 1\n      y: some\n", ":6: backends[0].model_limits.y: 'some' is no number of"),
        ("      y:\n", ":5: backends[0].model_limits.y: there is no value"),
        ("      y: [1]\n", ":5: backends[0].model_limits.y: expected one value, not a list"),
        ("      y: 0x10\n", ":5: backends[0].model_limits.y: '0x10' can be read as more than one"),
        ("      y: 1\n      y: 2\n", ":6: backends[0].model_limits: 'y' is given twice"),
        ('      "": 2\n', ":5: backends[0].model_limits: '' is no name of a model"),
        ('      "a\\u0007": 2\n', ":5: backends[0].model_limits: 'a\\x07' has the character"),
        ("      [a]: 2\n", ":5: backends[0].model_limits: expected a name before the colon"),
        ("      4\n", ":5: backends[0].model_limits: expected names with values, such as {a: 1}"),
        ("      - 4\n", ":5: backends[0].model_limits: expected names with values"),
    ],
)
def test_wrong_limits_are_refused_by_their_line(limits, why, load):
    with pytest.raises(InvalidConfig) as caught:
        load(limits)
    assert why in str(caught.value)


QUOTES = "one that begins with ? [ or { needs quotes"


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ("      {?: 2}\n", f"backends[0].model_limits: expected a name before the colon; {QUOTES}"),
        ("      ? [a]\n      : 2\n", f"expected a name before the colon; {QUOTES}"),
        (
            "      {*: 2}\n",
            "; a name or value that begins with * or & needs quotes",
        ),
        ("      *big: 2\n", "begins with * or & needs quotes"),
    ],
)
def test_a_name_that_needs_quotes_is_said_so(load, limits, said):
    with pytest.raises(InvalidConfig) as caught:
        load(limits)
    assert "config.yaml:5: " in str(caught.value)
    assert said in str(caught.value)


def test_a_key_that_is_none_is_said_so(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("{?: 2}")
    with pytest.raises(InvalidConfig, match=r"config.yaml:1: expected a name before the colon"):
        load_settings(str(file))
