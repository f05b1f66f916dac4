"""Lines, folding, status codes and addresses: the pure parts below the backends."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oq.backends.address import base_url, check_api_key
from oq.backends.failures import MAX_TEXT, error_text, parse_retry_after, status_error
from oq.backends.fold import Fold, embedded
from oq.backends.lines import Lines
from oq.backends.sse import Events
from oq.words.errors import BackendFailure, BackendRejected, InvalidConfig
from oq.words.task import TaskType, Usage

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def folded(kind, *chunks):
    fold = Fold(kind)
    for chunk in chunks:
        fold.add(json.dumps(chunk).encode())
    return fold.completed()


@st.composite
def cut_anywhere(draw):
    data = draw(st.binary(max_size=80).map(lambda b: b.replace(b"\r", b"\n")))
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=6)))
    return data, [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


@given(cut_anywhere())
def test_lines_are_the_same_wherever_the_network_cuts(case):
    data, parts = case
    lines = Lines()
    got = [line for part in parts for line in lines.feed(part)]
    assert [*got, lines.rest()] == data.split(b"\n")


def test_a_line_may_end_with_crlf_and_has_a_bound():
    assert Lines().feed(b"a\r\nb\r\n") == [b"a", b"b"]
    lines = Lines(limit=5)
    assert lines.feed(b"12345") == []
    with pytest.raises(BackendFailure, match="more than 5 bytes"):
        lines.feed(b"6")
    with pytest.raises(BackendFailure, match="more than 5 bytes"):
        Lines(limit=5).feed(b"123456\n")


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_any_split_of_a_text_folds_to_the_text(parts):
    chat = [{"message": {"role": "assistant", "content": part}, "done": False} for part in parts]
    end = {"message": {"role": "assistant", "content": ""}, "done": True}
    result = json.loads(folded(TaskType.CHAT, *chat, end).result)
    assert result == {"message": {"role": "assistant", "content": "".join(parts)}, "done": True}
    said = [{"response": part, "done": False} for part in parts]
    result = json.loads(folded(TaskType.GENERATE, *said, {"response": "", "done": True}).result)
    assert result == {"response": "".join(parts), "done": True}


def test_chat_folds_thinking_tool_calls_and_unknown_fields():
    call = {"function": {"name": "f", "arguments": {"n": 1}}}
    completed = folded(
        TaskType.CHAT,
        {"model": "m", "message": {"role": "assistant", "content": "", "thinking": "a"}},
        {"model": "m", "message": {"content": None, "thinking": "b", "new": 1}},
        {"model": "m", "message": {"content": "x", "tool_calls": [call]}, "logprobs": [{"t": 1}]},
        {"model": "m", "message": {"content": "y", "tool_calls": [call]}, "logprobs": [{"t": 2}]},
        {"model": "m", "message": {"role": "assistant", "content": ""}, "done": True, "odd": [1]},
    )
    assert json.loads(completed.result) == {
        "model": "m",
        "message": {
            "role": "assistant",
            "content": "xy",
            "thinking": "ab",
            "tool_calls": [call, call],
            "new": 1,
        },
        "done": True,
        "odd": [1],
        "logprobs": [{"t": 1}, {"t": 2}],
    }
    assert completed.usage is None


def test_the_last_chunk_stays_byte_for_byte_and_in_order():
    fold = Fold(TaskType.GENERATE)
    fold.add(b'{"response":"a","done":false,"gone":1}')
    fold.add(b'{"z":1.50,"response":"","done":true,"eval_count":7,"context":[1, 2],"a":1e400}')
    completed = fold.completed()
    assert completed.result == (
        b'{"z":1.50,"response":"a","done":true,"eval_count":7,"context":[1, 2],"a":1e400}'
    )
    assert completed.usage == Usage(0, 7)


@pytest.mark.parametrize(
    "line",
    [b"[]", b"{", b"\xff", b"<html>", b"null", b'{"message":1}', b'{"message":{"content":3}}',
     b"[" * 100_000, b'{"response":["x"]}', b'{"message":{"tool_calls":{}}}'],
)  # fmt: skip
def test_what_is_no_chunk_is_a_failure(line):
    with pytest.raises(BackendFailure):
        Fold(TaskType.CHAT).add(line)


def test_a_stream_without_its_end_and_one_without_bound_are_failures():
    fold = Fold(TaskType.GENERATE, limit=100)
    fold.add(b'{"response":"a","done":false}')
    with pytest.raises(BackendFailure, match="ended before done"):
        fold.completed()
    with pytest.raises(BackendFailure, match="over 100 bytes"):
        fold.add(b'{"response":"%s","done":false}' % (b"x" * 100))


def test_an_embed_answer_is_kept_as_it_came_if_it_is_one():
    body = b'{"model":"m","embeddings":[[0.10, 1e-9]],"prompt_eval_count":3}'
    assert embedded(body).result == body
    assert embedded(body).usage == Usage(3, 0)
    for wrong in (b"", b"{}", b'{"embeddings":1}', b"[1]"):
        with pytest.raises(BackendFailure):
            embedded(wrong)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error":"no such model"}', "no such model"),
        (b'{"error":{"message":"bad key","type":"x"}}', "bad key"),
        (b'{"error":{"odd":1}}', '{"odd":1}'),
        (b'{"message":"from vLLM"}', "from vLLM"),
        (b'{"detail":[{"msg":"x"}]}', '[{"msg":"x"}]'),
        (b"<h1>502</h1>\n", "<h1>502</h1>"),
        (b"\xff\xfe", "��"),
        (b"", ""),
        (b"[" * 3000, "[" * MAX_TEXT + " …"),
    ],
)
def test_error_texts(body, text):
    assert error_text(body) == text


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 599])
def test_these_statuses_are_worth_a_retry(status):
    error = status_error(status, b"busy", retry_after="7", now=NOW)
    assert isinstance(error, BackendFailure)
    assert (error.status, error.retry_after) == (status, 7)


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 413, 422])
def test_these_statuses_are_final(status):
    error = status_error(status, b'{"error":"no"}', now=NOW)
    assert isinstance(error, BackendRejected)
    assert str(error) == f"the backend answered {status}: no"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0), ("120", 120), (" 1.5 ", 1.5), ("999999999", 86_400),
        ("Thu, 01 Jan 2026 00:00:30 GMT", 30), ("Thu, 01 Jan 2026 00:00:30 -0000", 30),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0), ("Fri, 01 Jan 2027 00:00:00 GMT", 86_400),
        ("soon", None), ("", None), ("-5", None), ("nan", None), (None, None),
    ],
)  # fmt: skip
def test_retry_after(header, seconds):
    assert parse_retry_after(header, NOW) == seconds


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("localhost", "http://localhost:11434"),
        ("gpu.lan", "http://gpu.lan:11434"),
        ("gpu_box:9", "http://gpu_box:9"),
        ("0.0.0.0:11434", "http://127.0.0.1:11434"),
        ("http://0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("http://localhost:11434/", "http://localhost:11434"),
        ("http://gpu.lan", "http://gpu.lan:80"),
        ("https://gpu.lan/ollama/", "https://gpu.lan:443/ollama"),
        ("HTTP://Gpu.LAN:1", "http://gpu.lan:1"),
        (" 'localhost:1' ", "http://localhost:1"),
        ("::1", "http://[::1]:11434"),
        ("[::1]:5", "http://[::1]:5"),
        ("http://[::]:5", "http://[::1]:5"),
    ],
)
def test_addresses_as_people_write_them(text, url):
    assert base_url(text) == url


@pytest.mark.parametrize(
    "text",
    ["", "  ", "http://", "ftp://x", "unix:///x", "host:port", "host:99999", "http://[::1", "a b",
     "http://x?y=1", "http://x#y", "ho\nst", "http://:11434", "-x", "a..b", "..",
     "http://a..b:1", "a.b.."],
)  # fmt: skip
def test_nonsense_is_no_address(text):
    with pytest.raises(InvalidConfig):
        base_url(text)


@pytest.mark.parametrize(
    "text",
    ["http://me:hunter2@host", "me:hunter2@box:11434", "http://me:hunter2/x@host",
     "http://[me:hunter2@host", "host?key=hunter2"],
)  # fmt: skip
def test_a_secret_in_an_address_is_not_shown(text):
    with pytest.raises(InvalidConfig) as caught:
        base_url(text)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("broken", [b"\xff", b"\xc3(", b"\xed\xa0\x80"])
def test_what_is_no_utf_8_is_a_failure_wherever_it_stands(broken):
    lines = [
        b'{"response":"%b","done":true}',
        b'{"context":["%b"],"done":true}',
        b'{"message":{"images":["%b"]},"done":true}',
    ]
    for line in lines:
        with pytest.raises(BackendFailure, match="no answer"):
            Fold(TaskType.GENERATE).add(line % broken)
    with pytest.raises(BackendFailure, match="no answer"):
        embedded(b'{"embeddings":[["%b"]]}' % broken)


def test_secrets_are_not_shown():
    for key in ("", "hunter2\n", " hunter2", "hünter2"):
        with pytest.raises(InvalidConfig) as caught:
            check_api_key(key)
        assert "nter2" not in str(caught.value)
    assert check_api_key("sk-1") == "sk-1"
    assert check_api_key(None) is None


@given(st.lists(st.text("abc é\n:", min_size=1).filter(str.strip), max_size=4), st.data())
def test_events_are_the_same_wherever_the_network_cuts(texts, data):
    events = [text.replace("\n", "\\n").encode() for text in texts]
    stream = b"".join(b": ping\n\ndata: " + event + b"\r\n\r\n" for event in events)
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    parser = Events()
    got = []
    for a, b in zip([0, *places], [*places, len(stream)], strict=True):
        got += parser.feed(stream[a:b])
    parser.close()
    assert got == events


def test_what_is_no_event_stream_is_a_failure():
    assert Events().feed(b"event: x\nid: 1\nretry: 5\ndata:a\ndata: b\n\n") == [b"a\nb"]
    with pytest.raises(BackendFailure, match="no event"):
        Events().feed(b'{"choices":[]}\n')
    with pytest.raises(BackendFailure, match="context is full"):
        Events().feed(b'error: {"message":"context is full"}\n')
    for half in (b"data: x", b"data: x\n"):
        parser = Events()
        parser.feed(half)
        with pytest.raises(BackendFailure, match="middle of an event"):
            parser.close()
