"""A batch's files: what the lines ask for, and what is left of OUT by a run that was killed."""

from __future__ import annotations

import io
import json
import os
from codecs import BOM_UTF8

import click
import pytest

from oq.cli.batch.lines import BadLine, Line, Terms, read, survey
from oq.cli.batch.output import Output, Printed

PLAIN = {"custom_id": "a", "type": "generate", "model": "m", "payload": {"prompt": "p"}}
OPENAI = {
    "custom_id": "b",
    "method": "POST",
    "url": "/v1/embeddings",
    "body": {"model": "m", "input": "x", "encoding_format": "base64"},
}


def file(*lines: object) -> io.BytesIO:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    return io.BytesIO("".join(f"{text}\n" for text in texts).encode())


def lines(*given: object, **terms: object) -> list[Line | BadLine]:
    return list(read(file(*given), Terms("run", **terms)))


def test_both_forms_may_be_in_one_file():
    plain, openai = lines(PLAIN, "", OPENAI)
    assert (plain.number, plain.custom_id, plain.openai, plain.packed) == (1, "a", False, False)
    assert (openai.number, openai.custom_id, openai.openai, openai.packed) == (3, "b", True, True)
    assert (plain.task.priority, plain.task.metadata) == ("low", {"custom_id": "a"})
    assert openai.task.payload == {"input": "x"}


def test_a_task_needs_no_id_of_its_own():
    [line] = lines({name: value for name, value in PLAIN.items() if name != "custom_id"})
    assert line.custom_id == "line-1"


def test_what_the_command_says_comes_before_what_the_line_says():
    given = PLAIN | {"priority": 7, "metadata": {"custom_id": "mine", "x": 1}}
    [own] = lines(given)
    assert own.task.priority == 7
    assert own.task.metadata == {"custom_id": "mine", "x": 1}
    [told] = lines(given, model="other", priority="high")
    assert (told.task.model, told.task.priority) == ("other", "high")
    del given["model"]
    assert lines(given, model="other")[0].task.model == "other"


def test_a_key_is_the_same_for_the_same_line_of_the_same_run_and_no_other():
    def key(line: dict, run: str = "run", **terms: object) -> str:
        [found] = read(file(line), Terms(run, **terms))
        return found.key

    keys = [
        key(PLAIN),
        key(OPENAI),
        key(PLAIN, run="other"),
        key(PLAIN | {"custom_id": "c"}),
        key(PLAIN | {"payload": {"prompt": "q"}}),
        key(PLAIN, model="n"),
    ]
    assert len(set(keys)) == len(keys)
    assert key(dict(reversed(PLAIN.items()))) == keys[0]
    assert lines("", "", PLAIN)[0].key == keys[0], "where in the file it is does not matter"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"custom_id": "\ud800"}'.encode("utf-8", "surrogatepass").decode("latin-1"), ""),
        ({"custom_id": 7}, "custom_id: it must be a text"),
        ({"custom_id": ""}, "custom_id: it must be a text"),
        ({"custom_id": "a"}, "type: there is none"),
        (PLAIN | {"payload": {}}, "payload"),
        (PLAIN | {"type": "sing"}, "type: 'sing' is none of"),
        (PLAIN | {"type": 1}, "type"),
        (PLAIN | {"priority": "urgent"}, "priority"),
        (PLAIN | {"run_at": "soon"}, "run_at"),
        (PLAIN | {"metadata": 1}, "metadata"),
        (PLAIN | {"options": [1]}, "options"),
        ({name: OPENAI[name] for name in ("url", "body")}, "custom_id: there is none"),
        (OPENAI | {"method": "GET"}, "method: it must be POST"),
        (OPENAI | {"body": []}, "body: it must be an object"),
        (OPENAI | {"url": "/v1/x"}, "url: '/v1/x' is none of"),
        (OPENAI | {"body": {"input": "x"}}, "model"),
    ],
)
def test_a_bad_line_says_what_is_wrong(line, reason):
    found = lines(PLAIN | {"custom_id": "good"}, line)
    assert isinstance(found[0], Line)
    assert isinstance(found[1], BadLine)
    assert found[1].number == 2
    assert reason in found[1].reason


def test_a_file_may_begin_with_the_mark_of_utf_8():
    (only,) = read(io.BytesIO(BOM_UTF8 + file(PLAIN).read()), Terms("run"))
    assert isinstance(only, Line)
    assert only.custom_id == "a"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_another_encoding_is_named(encoding):
    with pytest.raises(ValueError, match=encoding[:6].upper()):
        list(read(io.BytesIO(file(PLAIN).read().decode().encode(encoding)), Terms("run")))


def test_the_survey_finds_ids_that_are_used_twice():
    again = PLAIN | {"payload": {"prompt": "q"}}
    found = survey(file(PLAIN, OPENAI, again, {"custom_id": "b"}), Terms("run"))
    assert found.total == 4
    assert sorted(found.bad) == [3, 4]
    assert "'a' is also that of line 1" in found.bad[3].reason
    ids = ["a", "b", *(bad.custom_id for bad in found.bad.values())]
    assert len(set(ids)) == 4, "and each result still gets an id of its own"


def test_a_stand_in_for_an_id_is_nobodys():
    found = survey(file(PLAIN | {"custom_id": "line-2"}, PLAIN, PLAIN), Terms("run"))
    assert found.bad[3].custom_id == "line-3"
    found = survey(
        file(PLAIN | {"custom_id": "line-3"}, PLAIN, PLAIN | {"custom_id": "a"}), Terms("run")
    )
    assert found.bad[3].custom_id == "line-3'"


# -- OUT


DONE = {"custom_id": "a", "result": {}, "error": None}
FAILED = {"custom_id": "b", "result": None, "error": {"code": "failed", "message": "x"}}


def test_what_is_written_is_there_at_once(tmp_path):
    path = tmp_path / "out.jsonl"
    with Output(str(path)) as output:
        output.write(DONE)
        assert json.loads(path.read_bytes()) == DONE
    with Output(str(path)) as output:
        assert "a" in output
        assert "b" not in output


@pytest.mark.parametrize("torn", [b'{"custom_id":"b","resul', b"{", b'{"', b"\0\0\0\0", b""])
def test_a_torn_line_is_cut_off_and_counts_for_nothing(tmp_path, torn):
    path = tmp_path / "out.jsonl"
    path.write_bytes(json.dumps(DONE).encode() + b"\n" + torn)
    with Output(str(path)) as output:
        assert "a" in output
        assert "b" not in output
        output.write(FAILED)
    assert [json.loads(line) for line in path.read_text().splitlines()] == [DONE, FAILED]


@pytest.mark.parametrize(
    "content", [b"to do: buy milk\n", b"to do: buy milk", b'{"a": 1}\n', b'{"custom_id": "a"}\nx\n']
)
def test_a_file_of_something_else_is_left_alone(tmp_path, content):
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(click.ClickException, match=r"notes.txt is not a file of batch results"):
        Output(str(path))
    assert path.read_bytes() == content


def test_only_one_at_a_time(tmp_path):
    path = str(tmp_path / "out.jsonl")
    with Output(path), pytest.raises(click.ClickException, match="another oq batch"):
        Output(path)
    with Output(path):
        pass


def test_failed_lines_are_dropped_when_they_are_to_be_tried_again(tmp_path):
    path = tmp_path / "out.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in (FAILED, DONE)) + '{"custom')
    with Output(str(path)) as kept:
        assert "b" in kept
        assert kept.failed == 1
    with Output(str(path), drop_failed=True) as output:
        assert "b" not in output
        assert "a" in output
        assert output.failed == 0
        with pytest.raises(click.ClickException, match="another oq batch"):
            Output(str(path))
        output.write(FAILED | {"error": None})
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["custom_id"], line["error"]) for line in found] == [("a", None), ("b", None)]
    assert [each.name for each in tmp_path.iterdir()] == ["out.jsonl"]


def test_what_is_printed_does_not_move_a_terminal():
    out = io.BytesIO()
    Printed(out).write({"custom_id": "\x9b2J\x7f\u202e"})
    assert out.getvalue() == b'{"custom_id":"\\u009b2J\\u007f\\u202e"}\n'


def test_what_cannot_be_read_back_is_no_file_of_results(tmp_path):
    """/dev/full gives zeroes without end, and a pipe waits for its other side."""
    os.mkfifo(tmp_path / "pipe")
    for path in (str(tmp_path / "pipe"), "/dev/full"):
        with pytest.raises(click.UsageError, match="a pipe or a device"):
            Output(path)
    with Output(os.devnull) as out:
        out.write({"custom_id": "a", "error": None})
