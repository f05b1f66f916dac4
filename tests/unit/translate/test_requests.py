"""What servers get of a request that they have no path for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming
from pydantic import TypeAdapter

from oq.dialects import ENDPOINTS
from oq.dialects.openai import OPENAI
from oq.dialects.translate import translation
from oq.dialects.translate.chat_request import MAX_NAMED, MAX_VALUES
from oq.words.errors import InvalidTask
from tests.unit.translate.ways import FORMS, MESSAGES, RESPONSES, sent, translated

FORM = pytest.mark.parametrize("form", ["chat", "ollama"])
PATH = pytest.mark.parametrize("path", [RESPONSES, MESSAGES])
OF_CHAT = TypeAdapter(CompletionCreateParamsStreaming)
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
F = {"type": "function", "name": "f", "description": "d", "parameters": SCHEMA, "strict": True}
IMAGE = "data:image/png;base64,iVBORw0KGgo="


def messages(path: str, form: str, *given: Any, **body: Any) -> Any:
    """The messages that the server gets of these items, or messages."""
    key = "input" if path == RESPONSES else "messages"
    return sent(path, form, **{key: list(given)}, **body)["messages"]


def item(role: str, *content: Any) -> Any:
    return {"type": "message", "role": role, "content": list(content)}


def text(said: str, kind: str = "input_text") -> Any:
    return {"type": kind, "text": said}


def fc(call_id: str, name: str, arguments: str, **more: Any) -> Any:
    about = {"type": "function_call", "call_id": call_id, "name": name}
    return {**about, "arguments": arguments, **more}


def output(call_id: str, said: Any, kind: str = "function_call_output") -> Any:
    return {"type": kind, "call_id": call_id, "output": said}


CODEX = {
    "model": "m",
    "instructions": "You are Codex.",
    "input": [
        item("developer", text("permissions"), text("skills")),
        item("user", text("<environment>")),
        item("user", text("list the files")),
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}],
         "encrypted_content": "gAAAA"},
        item("assistant", text("I look.", "output_text")),
        fc("c1", "shell", '{"command":["ls"]}', id="fc_1"),
        fc("c2", "look", "{}", namespace="mcp__files"),
        output("c1", "a.txt"),
        output("c2", [text("b.txt"), {"type": "input_image", "image_url": IMAGE}]),
    ],
    "tools": [
        {"type": "function", "name": "shell", "parameters": SCHEMA, "strict": False},
        {"type": "namespace", "name": "mcp__files", "description": "files",
         "tools": [{"type": "function", "name": "look", "parameters": SCHEMA}]},
        {"type": "web_search", "external_web_access": False},
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "reasoning": {"summary": "auto"},
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "k",
    "client_metadata": {"x": "y"},
}  # fmt: skip
"""What Codex sends in the second turn, but for its length."""


def test_codex_to_chat_completions():
    how = translated(RESPONSES, "chat", **CODEX)
    body = json.loads(how.body)
    OF_CHAT.validate_python(body)
    assert how.endpoint.path == "/v1/chat/completions"
    assert how.left_out == ("tools[2] (web_search)", "prompt_cache_key", "client_metadata")
    assert body["messages"] == [
        {"role": "system", "content": "You are Codex.\n\npermissions\nskills"},
        {"role": "user", "content": "<environment>\n\nlist the files"},
        {
            "role": "assistant",
            "content": "I look.",
            "reasoning_content": "Hm.",
            "tool_calls": [
                {"id": "c1", "type": "function",
                 "function": {"name": "shell", "arguments": '{"command":["ls"]}'}},
                {"id": "c2", "type": "function",
                 "function": {"name": "mcp__files__look", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "a.txt"},
        {"role": "tool", "tool_call_id": "c2", "content": [
            {"type": "text", "text": "b.txt"},
            {"type": "image_url", "image_url": {"url": IMAGE}},
        ]},
    ]  # fmt: skip
    assert [tool["function"]["name"] for tool in body["tools"]] == ["shell", "mcp__files__look"]
    assert body["tools"][0]["function"] == {"name": "shell", "parameters": SCHEMA, "strict": False}
    rest = {key: body[key] for key in body if key not in ("messages", "tools")}
    assert rest == {
        "model": "m",
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_codex_to_ollama():
    how = translated(RESPONSES, "ollama", **CODEX)
    body = json.loads(how.body)
    assert how.endpoint.path == "/api/chat"
    assert body["messages"][2:] == [
        {
            "role": "assistant",
            "content": "I look.",
            "thinking": "Hm.",
            "tool_calls": [
                {"id": "c1", "function": {"name": "shell", "arguments": {"command": ["ls"]}}},
                {"id": "c2", "function": {"name": "mcp__files__look", "arguments": {}}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "tool_name": "shell", "content": "a.txt"},
        {"role": "tool", "tool_call_id": "c2", "tool_name": "mcp__files__look",
         "content": "b.txt", "images": [IMAGE.partition(",")[2]]},
    ]  # fmt: skip
    assert set(body) == {"model", "messages", "tools", "stream"}
    assert body["stream"] is True


CLAUDE_CODE = {
    "model": "m",
    "max_tokens": 32000,
    "system": [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2; cch=ef01a;You are"},
        {"type": "text", "text": "Claude Code", "cache_control": {"type": "ephemeral"}},
    ],
    "messages": [
        {"role": "user", "content": "list the files"},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "s"},
            {"type": "redacted_thinking", "data": "x"},
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "ls"}},
            {"type": "tool_use", "id": "t2", "name": "See", "input": {}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t1", "content": "a.txt"},
            {"type": "tool_result", "tool_use_id": "t2", "is_error": True, "content": [
                {"type": "text", "text": "b"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png",
                                             "data": "iVBORw0KGgo="}},
            ]},
            {"type": "text", "text": "go on"},
        ]},
    ],
    "tools": [
        {"name": "Bash", "description": "runs", "input_schema": SCHEMA},
        {"type": "web_search_20250305", "name": "web_search"},
    ],
    "thinking": {"type": "enabled", "budget_tokens": 31999},
    "metadata": {"user_id": "u"},
    "stream": True,
}  # fmt: skip
"""What Claude Code sends in the second turn, but for its length."""


def test_claude_code_to_chat_completions():
    how = translated(MESSAGES, "chat", **CLAUDE_CODE)
    body = json.loads(how.body)
    OF_CHAT.validate_python(body)
    assert how.left_out == (
        "messages[1].content[1] (redacted_thinking)",
        "messages[2].content[1].is_error",
        "tools[1] (web_search_20250305)",
        "thinking.budget_tokens",
        "metadata",
    )
    billing = "x-anthropic-billing-header: cc_version=2; cch=fffff;You are"
    assert body["messages"] == [
        {"role": "system", "content": f"{billing}\n\nClaude Code"},
        {"role": "user", "content": "list the files"},
        {
            "role": "assistant",
            "content": "I look.",
            "reasoning_content": "Hm.",
            "tool_calls": [
                {"id": "t1", "type": "function",
                 "function": {"name": "Bash", "arguments": '{"command":"ls"}'}},
                {"id": "t2", "type": "function", "function": {"name": "See", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "t1", "content": "a.txt"},
        {"role": "tool", "tool_call_id": "t2", "content": [
            {"type": "text", "text": "b"}, {"type": "image_url", "image_url": {"url": IMAGE}},
        ]},
        {"role": "user", "content": "go on"},
    ]  # fmt: skip
    function = {"name": "Bash", "description": "runs", "parameters": SCHEMA}
    assert body["tools"] == [{"type": "function", "function": function}]
    assert (body["max_tokens"], body["reasoning_effort"], body["stream"]) == (32000, "medium", True)


def test_claude_code_to_ollama():
    body = sent(MESSAGES, "ollama", **CLAUDE_CODE)
    assert body["messages"][2]["thinking"] == "Hm."
    assert body["messages"][4]["tool_name"] == "See"
    assert body["messages"][4]["images"] == ["iVBORw0KGgo="]
    assert (body["think"], body["options"]) == (True, {"num_predict": 32000})


@FORM
def test_a_text_is_what_the_user_says(form):
    assert sent(RESPONSES, form, input="Hi")["messages"] == [{"role": "user", "content": "Hi"}]
    assert messages(RESPONSES, form, {"role": "user", "content": "Hi"}) == [
        {"role": "user", "content": "Hi"}
    ]
    assert messages(MESSAGES, form, {"role": "user", "content": "Hi"}, system="Be.") == [
        {"role": "system", "content": "Be."},
        {"role": "user", "content": "Hi"},
    ]


@FORM
@PATH
def test_instructions_in_the_middle_are_said_by_the_user(form, path):
    """Templates of Qwen and others raise: "System message must be at the beginning"."""
    kind = "input_text" if path == RESPONSES else "text"
    given = (
        item("system", text("a", kind)),
        item("system", text("b", kind)),
        item("user", text("c", kind)),
        item("system", text("d", kind)),
        item("assistant", text("e", kind)),
        item("system", text("f", kind)),
        item("user", text("g", kind), text("h", kind)),
    )
    assert [(one["role"], one["content"]) for one in messages(path, form, *given)] == [
        ("system", "a\n\nb"),
        ("user", "c\n\n<system-reminder>\nd\n</system-reminder>"),
        ("assistant", "e"),
        ("user", "<system-reminder>\nf\n</system-reminder>\n\ng\nh"),
    ]


@FORM
@PATH
def test_messages_of_the_model_in_a_row_stay_apart(form, path):
    kind = "output_text" if path == RESPONSES else "text"
    said = [item("assistant", text("a", kind)), item("assistant", text("b", kind))]
    got = messages(path, form, *said)[-2:]
    assert [(one["role"], one["content"]) for one in got] == [
        ("assistant", "a"),
        ("assistant", "b"),
    ]


def test_instructions_in_the_middle_may_show_something():
    image = {"type": "input_image", "image_url": IMAGE}
    given = item("user", text("a")), item("system", text("b"), image)
    said = messages(RESPONSES, "chat", *given)[-1]["content"]
    assert [part.get("text", part["type"]) for part in said] == [
        "a", "<system-reminder>", "b", "image_url", "</system-reminder>",
    ]  # fmt: skip


def test_sound():
    sound = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
    [chat] = messages(RESPONSES, "chat", item("user", text("what?"), sound))
    assert chat["content"] == [text("what?", "text"), sound]
    with pytest.raises(InvalidTask, match="Ollama takes no 'input_audio'"):
        messages(RESPONSES, "ollama", item("user", sound))


def test_images():
    for path, image in (
        (RESPONSES, {"type": "input_image", "image_url": IMAGE, "detail": "high"}),
        (MESSAGES, {"type": "image", "source": {"type": "base64", "media_type": "image/png",
                                                "data": "iVBORw0KGgo="}}),
    ):  # fmt: skip
        ask = text("what?", "input_text" if path == RESPONSES else "text")
        [chat] = messages(path, "chat", item("user", ask, image))
        assert chat["content"][0] == {"type": "text", "text": "what?"}
        assert chat["content"][1]["image_url"]["url"] == IMAGE
        [ollama] = messages(path, "ollama", item("user", ask, image))
        assert (ollama["content"], ollama["images"]) == ("what?", ["iVBORw0KGgo="])
    source = {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}
    [chat] = messages(MESSAGES, "chat", item("user", source))
    assert chat["content"][0]["image_url"]["url"] == "https://x/y.png"
    with pytest.raises(InvalidTask, match="by its URL"):
        messages(MESSAGES, "ollama", item("user", source))


@FORM
def test_a_conversation_goes_on(form):
    """An assistant's message is one, whatever it is made of, until somebody else speaks."""
    given = [
        item("user", text("a")),
        item("assistant", text("b", "output_text"), {"type": "refusal", "refusal": "c"}),
        item("user", text("d")),
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "e"}]},
        fc("1", "f", "{}"),
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "g"}]},
        item("assistant", text("h", "output_text")),
        output("1", "i"),
        {"type": "web_search_call", "id": "w", "status": "completed"},
        {"type": "custom_tool_call", "call_id": "2", "name": "edit", "input": "j"},
        output("2", "k", "custom_tool_call_output"),
    ]
    roles = [one["role"] for one in messages(RESPONSES, form, *given)]
    assert roles == ["user", "assistant", "user", "assistant", "tool", "assistant", "tool"]
    made = messages(RESPONSES, form, *given)
    assert made[1]["content"] == "b\nc"
    assert made[3]["thinking" if form == "ollama" else "reasoning_content"] == "e\ng"
    assert (made[3]["content"], len(made[3]["tool_calls"])) == ("h", 1)
    arguments = made[5]["tool_calls"][0]["function"]["arguments"]
    assert arguments == ({"input": "j"} if form == "ollama" else '{"input":"j"}')


def test_hints_that_a_server_refuses_are_dropped():
    given = [{"type": "reasoning", "summary": [{"text": "Hm"}]}, item("assistant", text("a"))]
    asked = {"input": given, "stream": True, "reasoning": {"effort": "low"}}
    how = translated(RESPONSES, "chat", **asked, truncation="auto")
    hints = frozenset({"stream_options", "reasoning_effort", "reasoning_content", "stream"})
    assert all(map(how.has, hints))
    assert not how.has("think")
    assert how.without(frozenset()) is how
    less = how.without(hints | {"think"})
    assert not any(map(less.has, hints))
    assert json.loads(less.body) == {
        "model": "m",
        "messages": [{"role": "assistant", "content": "a"}],
        "stream": False,
    }
    assert less.left_out == ("truncation", "reasoning_effort", "reasoning_content")


@FORM
def test_a_tool_that_answers_nothing_has_answered(form):
    answer = messages(RESPONSES, form, fc("1", "f", "{}"), output("1", None))[-1]
    assert (answer["role"], answer["content"]) == ("tool", "")


def test_a_field_of_messages_that_oq_does_not_know_goes_where_it_can():
    """Servers of chat completions have fields of their own; Ollama's form has no place for them."""
    assert sent(MESSAGES, "chat", unheard_of=1)["unheard_of"] == 1
    assert translated(MESSAGES, "ollama", unheard_of=1).left_out == ("unheard_of",)


def test_tools_named_twice_are_offered_once():
    assert len(sent(RESPONSES, "chat", tools=[F, F])["tools"]) == 1


def test_tools_may_come_as_an_item():
    more = {"type": "additional_tools", "role": "developer", "tools": [F]}
    body = sent(RESPONSES, "chat", input=[more, item("user", text("a"))])
    assert body["tools"][0]["function"]["name"] == "f"


def test_a_custom_tool_is_offered_as_a_function():
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: x"}
    how = translated(RESPONSES, "chat", tools=[{"type": "custom", "name": "e", "format": grammar}])
    [tool] = json.loads(how.body)["tools"]
    assert tool["function"]["parameters"]["required"] == ["input"]
    assert how.left_out == ("tools[0].format",)


def test_a_tool_of_anthropics_says_whether_its_schema_binds():
    tool = {"name": "f", "input_schema": SCHEMA, "strict": True}
    [offered] = sent(MESSAGES, "chat", tools=[tool])["tools"]
    assert offered["function"] == {"name": "f", "parameters": SCHEMA, "strict": True}


def test_long_names_are_cut_and_stay_apart():
    tools = [{"type": "namespace", "name": "n" * 60, "tools": [{**F, "name": f"{at}" * 60}]}
             for at in range(3)]  # fmt: skip
    names = [tool["function"]["name"] for tool in sent(RESPONSES, "chat", tools=tools)["tools"]]
    assert len(set(names)) == 3
    assert max(map(len, names)) <= 64


@pytest.mark.parametrize(
    ("choice", "chat", "offered"),
    [
        (None, None, 2),
        ("auto", "auto", 2),
        ("none", "none", 2),
        ("required", "required", 2),
        ({"type": "function", "name": "f"}, {"type": "function", "function": {"name": "f"}}, 2),
        ({"type": "function", "name": "g"}, {"type": "function", "function": {"name": "ns__g"}}, 2),
        ({"type": "allowed_tools", "mode": "required",
          "tools": [{"type": "function", "name": "f"}]}, "required", 1),
    ],
)  # fmt: skip
def test_a_choice_of_tools(choice, chat, offered):
    tools = [F, {"type": "namespace", "name": "ns", "tools": [{**F, "name": "g"}]}]
    body = sent(RESPONSES, "chat", tools=tools, tool_choice=choice)
    assert (body.get("tool_choice"), len(body["tools"])) == (chat, offered)


@pytest.mark.parametrize(
    ("choice", "chat"),
    [
        ({"type": "auto"}, "auto"),
        ({"type": "none"}, "none"),
        ({"type": "any"}, "required"),
        ({"type": "tool", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
        ({"type": "auto", "disable_parallel_tool_use": True}, "auto"),
    ],
)
def test_a_choice_of_tools_of_anthropics(choice, chat):
    body = sent(MESSAGES, "chat", tools=[{"name": "f"}], tool_choice=choice)
    assert body["tool_choice"] == chat
    assert body.get("parallel_tool_calls") == (
        False if "disable_parallel_tool_use" in choice else None
    )


def test_ollama_has_no_choice_of_tools():
    g = {**F, "name": "g"}
    none = translated(RESPONSES, "ollama", tools=[F, g], tool_choice="none")
    assert "tools" not in json.loads(none.body)
    one = translated(
        RESPONSES, "ollama", tools=[F, g], tool_choice={"type": "function", "name": "g"}
    )
    assert [tool["function"]["name"] for tool in json.loads(one.body)["tools"]] == ["g"]
    must = translated(
        RESPONSES, "ollama", tools=[F], tool_choice="required", parallel_tool_calls=False
    )
    assert one.left_out == ("tool_choice",)
    assert must.left_out == ("parallel_tool_calls", "tool_choice")


@pytest.mark.parametrize(
    ("wanted", "chat", "ollama"),
    [
        ({"type": "text"}, None, None),
        ({"type": "json_object"}, {"type": "json_object"}, "json"),
        (
            {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True},
            {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}},
            SCHEMA,
        ),
    ],
)
def test_the_form_of_the_text(wanted, chat, ollama):
    asked = {"text": {"format": wanted, "verbosity": "low"}}
    assert sent(RESPONSES, "chat", **asked).get("response_format") == chat
    assert sent(RESPONSES, "ollama", **asked).get("format") == ollama
    assert translated(RESPONSES, "chat", **asked).left_out == ("text.verbosity",)


@pytest.mark.parametrize("where", ["output_format", "output_config"])
def test_the_form_of_the_text_of_anthropics(where):
    wanted = {"type": "json_schema", "schema": SCHEMA}
    asked = {where: wanted if where == "output_format" else {"format": wanted}}
    assert sent(MESSAGES, "chat", **asked)["response_format"]["json_schema"]["schema"] == SCHEMA
    assert sent(MESSAGES, "ollama", **asked)["format"] == SCHEMA


@pytest.mark.parametrize(
    ("effort", "think"),
    [("none", False), ("minimal", "low"), ("low", "low"), ("high", "high"), ("xhigh", "max")],
)
def test_how_hard_to_think(effort, think):
    assert sent(RESPONSES, "chat", reasoning={"effort": effort})["reasoning_effort"] == effort
    assert sent(RESPONSES, "ollama", reasoning={"effort": effort})["think"] == think
    assert sent(MESSAGES, "ollama", output_config={"effort": effort})["think"] == think


@pytest.mark.parametrize(
    ("thinking", "config", "chat", "ollama"),
    [
        ({"type": "disabled"}, None, "none", False),
        ({"type": "enabled", "budget_tokens": 2000}, None, "medium", True),
        ({"type": "enabled"}, {"effort": "high"}, "high", "high"),
        ({"type": "adaptive"}, None, None, None),
    ],
)
def test_thinking_of_anthropics(thinking, config, chat, ollama):
    asked = {"thinking": thinking, "output_config": config}
    assert sent(MESSAGES, "chat", **asked).get("reasoning_effort") == chat
    assert sent(MESSAGES, "ollama", **asked).get("think") == ollama


def test_sampling_and_limits():
    asked = {"temperature": 0.5, "top_p": 0.9, "max_output_tokens": 7.0, "seed": 1, "min_p": 0.1}
    chat = sent(RESPONSES, "chat", **asked)
    assert chat["max_tokens"] == 7
    assert {key: chat[key] for key in asked if key in chat} == {
        key: value for key, value in asked.items() if key != "max_output_tokens"
    }
    ollama = translated(RESPONSES, "ollama", **asked, keep_alive="1h", unheard_of=1)
    body = json.loads(ollama.body)
    options = {key: value for key, value in asked.items() if key != "max_output_tokens"}
    assert body["options"] == {**options, "num_predict": 7}
    assert body["keep_alive"] == "1h"
    assert ollama.left_out == ("unheard_of",)
    stop = sent(MESSAGES, "chat", stop_sequences=["a"], top_k=3)
    assert (stop["stop"], stop["top_k"]) == (["a"], 3)
    options = sent(MESSAGES, "ollama", stop_sequences=["a"], top_k=3)["options"]
    assert options == {"top_k": 3, "num_predict": 9, "stop": ["a"]}


def test_what_is_not_asked_for_is_not_sent():
    assert set(sent(RESPONSES, "chat")) == {"model", "messages", "stream"}
    assert set(sent(RESPONSES, "ollama")) == {"model", "messages", "stream"}


def test_what_says_the_default_is_no_loss():
    asked = {"truncation": "disabled", "service_tier": "auto", "include": [], "store": False}
    assert translated(RESPONSES, "chat", **asked, metadata={"a": "b"}, user=None).left_out == ()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"conversation": {"id": "conv_1"}}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice"),
        ({"tool_choice": {"type": "mcp", "server_label": "x"}}, "tool_choice"),
        ({"tool_choice": {"type": "function", "name": "nope"}}, "tool_choice.name"),
        ({"tool_choice": "required", "tools": [{"type": "web_search"}]}, "tool_choice"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format.type"),
        ({"input": None}, "input"),
        ({"input": 3}, "input"),
        ({"input": ["x"]}, "input[0]"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        ({"input": [{"type": "compaction", "encrypted_content": "x"}]}, "input[0].type"),
        ({"input": [{}]}, "input[0].type"),
        ({"input": [{"type": [None]}]}, "input[0].type"),
        ({"input": [{"role": "critic", "content": "x"}]}, "input[0].role"),
        ({"input": [item("user", {"type": "input_file", "file_id": "x"})]},
         "input[0].content[0].type"),
        ({"input": [item("user", {"type": "input_image", "file_id": "x"})]},
         "input[0].content[0].file_id"),
        ({"input": [fc("c", "f", "{}") | {"name": None}]}, "input[0].name"),
        ({"input": [output("c", 3)]}, "input[0].output"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": {}}, "tools"),
        ({"model": None}, "model"),
        ({"instructions": ["x"]}, "instructions"),
        ({"max_output_tokens": "7"}, "max_output_tokens"),
        ({"max_output_tokens": 7.5}, "max_output_tokens"),
        ({"reasoning": {"effort": 3}}, "reasoning.effort"),
        ({"reasoning": "low"}, "reasoning"),
        ({"parallel_tool_calls": "no"}, "parallel_tool_calls"),
    ],
)  # fmt: skip
@FORM
def test_what_cannot_be_translated_is_named(body, field, form):
    with pytest.raises(InvalidTask) as caught:
        translated(RESPONSES, form, **body)
    assert caught.value.field == field
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"messages": None}, "messages"),
        ({"messages": [3]}, "messages[0]"),
        ({"messages": [{"role": "critic", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
        ({"messages": [item("user", {"type": "document", "source": {"type": "base64"}})]},
         "messages[0].content[0].source"),
        ({"messages": [item("user", {"type": "image", "source": {"type": "file"}})]},
         "messages[0].content[0].source"),
        ({"messages": [item("user", {"type": "container_upload"})]}, "messages[0].content[0].type"),
        ({"messages": [item("assistant", {"type": "tool_use", "name": "f"})]},
         "messages[0].content[0].id"),
        ({"system": [{"type": "image"}]}, "system[0].type"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        ({"tool_choice": {"type": "tool", "name": "f"}}, "tool_choice.name"),
        ({"tool_choice": {"type": "new"}}, "tool_choice.type"),
        ({"thinking": {"type": "new"}}, "thinking.type"),
        ({"output_format": {"type": "new"}}, "output_format.type"),
        ({"stop_sequences": "x"}, "stop_sequences"),
        ({"stop_sequences": [1]}, "stop_sequences"),
        ({"stream": 1}, "stream"),
    ],
)  # fmt: skip
@FORM
def test_what_cannot_be_translated_of_anthropics_is_named(body, field, form):
    with pytest.raises(InvalidTask) as caught:
        translated(MESSAGES, form, **body)
    assert caught.value.field == field


@FORM
def test_documents_of_text_are_text(form):
    plain = {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": "a"},
    }
    parts = {"type": "document", "source": {"type": "content", "content": [text("b", "text")]}}
    found = {"type": "search_result", "source": "s", "title": "t", "content": [text("c", "text")]}
    other = {"type": "document", "source": {"type": "content", "content": "d"}}
    [message] = messages(MESSAGES, form, item("user", plain, parts, found, other))
    assert message["content"] == "a\nb\nc\nd"


@FORM
def test_what_anthropic_has_run_is_left_out(form):
    past = [{"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}]  # fmt: skip
    how = translated(MESSAGES, form, messages=[item("assistant", *past, text("Paris", "text"))])
    assert json.loads(how.body)["messages"] == [{"role": "assistant", "content": "Paris"}]
    assert [name.rpartition(" ")[2] for name in how.left_out] == [
        "(server_tool_use)",
        "(web_search_tool_result)",
    ]


@pytest.mark.parametrize("nothing", ["", " ", "null"])
def test_a_call_without_arguments_has_an_empty_object(nothing):
    made = messages(RESPONSES, "ollama", fc("c", "f", nothing), output("c", "x"))
    assert made[0]["tool_calls"][0]["function"]["arguments"] == {}


def test_arguments_that_are_no_object_are_kept():
    made = messages(RESPONSES, "ollama", fc("c", "f", "{oops"), output("c", "x"))
    assert made[0]["tool_calls"][0]["function"]["arguments"] == {"arguments": "{oops"}


@PATH
@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b'{"model":"m","input":"\xff"}', b"[" * 9999]
)
def test_what_is_no_object_is_refused(path, body):
    how = translation(ENDPOINTS[path], FORMS["chat"])
    assert how is not None
    with pytest.raises(InvalidTask):
        how.request(body)


def test_a_body_of_too_many_values_is_refused():
    how = translation(ENDPOINTS[RESPONSES], FORMS["chat"])
    assert how is not None
    with pytest.raises(InvalidTask, match="values"):
        how.request(b'{"model":"m","input":[%b0]}' % (b"[]," * (MAX_VALUES // 2)))
    text = b"[]," * MAX_VALUES  # in a text they are none
    assert how.request(b'{"model":"m","input":"%b"}' % text)


def test_half_a_character_is_read_as_others_read_it():
    how = translation(ENDPOINTS[RESPONSES], FORMS["chat"])
    assert how is not None
    body = json.loads(how.request(b'{"model":"m","input":"a\\ud83e"}').body)
    assert body["messages"][0]["content"] == "a\ufffd"


def test_the_names_of_what_is_left_out_fit_a_header():
    """Some of them are the caller's."""
    fields = {f"odd,\r\nSet-Cookie: {at}\u2028": 1 for at in range(40)}
    names = translated(RESPONSES, "ollama", **fields, **{"x" * 999: 1}).left_out
    assert len(names) == MAX_NAMED + 1
    assert all(" " <= c <= "~" and c != "," for name in names for c in name)
    assert max(map(len, names)) <= 80
    assert names[-1] == "and 17 more"


def test_only_what_is_known_is_translated():
    assert translation(ENDPOINTS["/v1/embeddings"], FORMS["chat"]) is None
    assert translation(ENDPOINTS[RESPONSES], ()) is None
    how = translation(ENDPOINTS[RESPONSES], (OPENAI,))
    assert how is not None
    assert how.endpoint.dialect is OPENAI
