"""An OpenAI call as a task, and its result as OpenAI's answer."""

from __future__ import annotations

import base64
import json
import struct

import openai.types as openai_types
import pytest
from openai.types.chat import ChatCompletion

from oq.cli.batch.lines import Terms, read
from oq.cli.batch.openai_answer import Strange, openai_answer
from oq.cli.batch.openai_request import openai_task
from oq.cli.batch.results import completed
from oq.rules.limits import Limits
from oq.rules.validation import check, decode_submission
from oq.words.errors import InvalidTask
from oq.words.task import TaskType

CHAT, COMPLETIONS, EMBEDDINGS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
USER = {"role": "user", "content": "hi"}


def asked(body: dict, url: str = CHAT) -> tuple[dict, dict | None]:
    task = openai_task(url, {"model": "m"} | body)
    return task.payload, task.options


def test_a_chat_keeps_what_both_have():
    tools = [{"type": "function", "function": {"name": "f"}}]
    payload, options = asked({"messages": [USER], "tools": tools, "logprobs": True, "n": 1})
    assert payload == {"messages": [USER], "tools": tools, "logprobs": True}
    assert options is None


def test_sampling_goes_to_the_options():
    body = {"temperature": 0, "top_p": 0.5, "seed": 7, "stop": ["a"], "max_tokens": 9}
    assert asked({"messages": [USER], **body})[1] == {
        "temperature": 0,
        "top_p": 0.5,
        "seed": 7,
        "stop": ["a"],
        "num_predict": 9,
    }
    both = {"max_tokens": 1, "max_completion_tokens": 2, "options": {"num_ctx": 4096}}
    assert asked({"messages": [USER], **both})[1] == {"num_ctx": 4096, "num_predict": 2}
    assert asked({"messages": [USER], "temperature": None})[1] is None


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({"response_format": {"type": "text"}}, {}),
        ({"response_format": {"type": "json_object"}}, {"format": "json"}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"a": 1}}}},
            {"format": {"a": 1}},
        ),
        ({"reasoning_effort": "none"}, {"think": False}),
        ({"reasoning_effort": "high"}, {"think": "high"}),
        ({"stream": True, "stream_options": {}, "store": True, "metadata": {"a": "b"}}, {}),
    ],
)
def test_what_has_another_name(said, meant):
    assert asked({"messages": [USER], **said})[0] == {"messages": [USER]} | meant


def test_metadata_is_the_tasks():
    task = openai_task(CHAT, {"model": "m", "messages": [USER], "metadata": {"a": "b"}})
    assert task.metadata == {"a": "b"}


def test_parts_become_text_and_images():
    parts = [
        {"type": "text", "text": "what is"},
        {"type": "text", "text": "this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
    ]
    [message] = asked({"messages": [{"role": "user", "content": parts}]})[0]["messages"]
    assert message == {"role": "user", "content": "what is\nthis?", "images": ["aGk="]}


def test_tool_calls_and_their_answers():
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    messages = asked(
        {
            "messages": [
                {"role": "developer", "content": "be brief"},
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c1", "content": "2"},
            ]
        }
    )[0]["messages"]
    assert messages[0]["role"] == "system"
    assert messages[1]["content"] == ""
    assert messages[1]["tool_calls"][0]["function"] == {"name": "f", "arguments": {"a": 1}}
    assert messages[2]["tool_name"] == "f"


def test_completions_and_embeddings():
    assert asked({"prompt": ["one"], "suffix": "s"}, COMPLETIONS)[0] == {
        "prompt": "one",
        "suffix": "s",
    }
    body = {"input": ["a", "b"], "dimensions": 4, "encoding_format": "base64"}
    assert asked(body, EMBEDDINGS)[0] == {"input": ["a", "b"], "dimensions": 4}


@pytest.mark.parametrize(
    ("url", "body", "field"),
    [
        ("/v1/responses", {}, "url"),
        (["x"], {}, "url"),
        (CHAT, {"messages": "hi"}, "body.messages"),
        (CHAT, {"messages": [USER], "n": 2}, "body.n"),
        (CHAT, {"messages": [USER], "model": 7}, "body.model"),
        (CHAT, {"messages": [USER], "metadata": []}, "body.metadata"),
        (CHAT, {"messages": [USER], "response_format": "json"}, "body.response_format"),
        (CHAT, {"messages": [USER, {"role": "user", "content": [{}]}]}, "body.messages[1].content"),
        (
            CHAT,
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "http://x/y.png"}}],
                    }
                ]
            },
            "body.messages[0].content",
        ),
        (
            CHAT,
            {
                "messages": [
                    {
                        "role": "assistant",
                        "tool_calls": [{"function": {"name": "f", "arguments": "no"}}],
                    }
                ]
            },
            "body.messages[0].tool_calls",
        ),
        (COMPLETIONS, {"prompt": ["a", "b"]}, "body.prompt"),
        (COMPLETIONS, {"prompt": [1, 2]}, "body.prompt"),
        (EMBEDDINGS, {"input": [[1, 2]]}, "body.input"),
    ],
)
def test_what_has_no_counterpart_is_refused_by_name(url, body, field):
    with pytest.raises(InvalidTask) as refusal:
        openai_task(url, {"model": "m"} | body)
    assert refusal.value.field == field


@pytest.mark.parametrize("messages", [[1], [None], [{"role": "user", "tool_calls": 7}]])
def test_nonsense_is_refused_and_no_accident(messages):
    with pytest.raises(InvalidTask):
        openai_task(CHAT, {"model": "m", "messages": messages})


def test_what_becomes_a_task_is_one_that_the_server_takes():
    import msgspec

    limits = Limits(max_payload=1 << 20, max_metadata=4096, max_batch=1, max_retries=0)
    task = openai_task(CHAT, {"model": "m", "messages": [USER], "temperature": 0.5})
    assert check(decode_submission(msgspec.json.encode(task)), limits).type is TaskType.CHAT


ENDED = {
    "model": "m",
    "created_at": "2026-01-31T12:00:00.123456789Z",
    "done": True,
    "done_reason": "stop",
    "prompt_eval_count": 3,
    "eval_count": 4,
}


def test_a_chats_answer_is_one_that_openais_client_reads():
    message = {"role": "assistant", "content": "hello", "thinking": "hm"}
    body = openai_answer(TaskType.CHAT, "t1", ENDED | {"message": message})
    answer = ChatCompletion.model_validate(body, strict=True)
    assert answer.id == "chatcmpl-t1"
    assert answer.created == 1769860800
    assert answer.choices[0].message.content == "hello"
    assert answer.choices[0].finish_reason == "stop"
    assert body["choices"][0]["message"]["reasoning"] == "hm"
    assert answer.usage.model_dump(exclude_none=True) == {
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "total_tokens": 7,
    }


def test_a_tool_call_in_the_answer():
    call = {"function": {"name": "f", "arguments": {"a": 1}}}
    message = {"role": "assistant", "content": "", "tool_calls": [call]}
    body = openai_answer(TaskType.CHAT, "t1", ENDED | {"message": message})
    answer = ChatCompletion.model_validate(body)
    [made] = answer.choices[0].message.tool_calls
    assert (made.id, made.function.name, made.function.arguments) == ("call_0", "f", '{"a":1}')
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.content is None


def test_a_completions_answer():
    body = openai_answer(
        TaskType.GENERATE, "t1", ENDED | {"response": "x", "done_reason": "length"}
    )
    answer = openai_types.Completion.model_validate(body, strict=True)
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == ("x", "length")


def test_embeddings_as_numbers_and_packed():
    result = {"model": "m", "embeddings": [[0.5, -1.0], [0.25, 2.0]], "prompt_eval_count": 2}
    body = openai_answer(TaskType.EMBED, "t1", result)
    answer = openai_types.CreateEmbeddingResponse.model_validate(body, strict=True)
    assert [each.embedding for each in answer.data] == [[0.5, -1.0], [0.25, 2.0]]
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (2, 2)
    packed = openai_answer(TaskType.EMBED, "t1", result, packed=True)["data"][1]["embedding"]
    assert struct.unpack("<2f", base64.b64decode(packed)) == (0.25, 2.0)


@pytest.mark.parametrize(
    "embeddings", [[[1e39]], [[None]], [["0.5"]], ["abc"], [7], 7, [[10**400]]]
)
def test_a_vector_that_is_none_is_that_lines_own_error(embeddings):
    call = {"model": "m", "input": "a", "encoding_format": "base64"}
    text = {"custom_id": "a", "method": "POST", "url": EMBEDDINGS, "body": call}
    [line] = read([json.dumps(text).encode()], Terms("run"))
    written = completed(line, "t1", ENDED | {"embeddings": embeddings})
    assert (written["custom_id"], written["response"]) == ("a", None)
    assert written["error"]["code"] == "invalid_answer"


@pytest.mark.parametrize("message", ["hi", ["hi"], {"tool_calls": [1]}, {"tool_calls": 1}])
def test_a_message_that_is_none_is_strange(message):
    with pytest.raises(Strange, match="cannot be put as OpenAI's"):
        openai_answer(TaskType.CHAT, "t1", ENDED | {"message": message})


def test_an_answer_that_lacks_everything_is_still_one():
    for kind in TaskType:
        assert openai_answer(kind, "t1", {})["usage"]["total_tokens"] == 0
