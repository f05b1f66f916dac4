"""Encodes answers of OpenAI's Responses and Anthropic's Messages, as Ollama gives them.

https://github.com/ollama/ollama/blob/main/openai/responses.go
https://github.com/ollama/ollama/blob/main/anthropic/anthropic.go
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from oq.backends.simulated.ask import Ask
from oq.backends.simulated.forms import NO_FIELDS, anthropic_error
from oq.backends.simulated.pieces import Ending, Piece
from oq.backends.simulated.script import ScriptedCall
from oq.backends.simulated.spent import Spent

Fields = dict[str, Any]


class ResponsesEncoder:
    """Each event says its type and its place. Its keys are sorted, as those of Go's maps are."""

    content_type = "text/event-stream"
    whole_type = "application/json"

    def __init__(self, ask: Ask, created_at: datetime, spent: Spent) -> None:
        self._ask = ask
        self._created = int(created_at.timestamp())
        self._count = 0
        self._done: list[Fields] = []
        self._open = ""
        self._text = ""

    def piece(self, piece: Piece, elapsed: float) -> bytes:
        out = b""
        if not self._count:
            for name in ("response.created", "response.in_progress"):
                out += self._event(name, response=self._response("in_progress", [], None))
        if piece.ending is not None:
            return out + self._end(piece.ending)
        if piece.calls:
            return out + self._close() + b"".join(self._call(call) for call in piece.calls)
        kind = "reasoning" if piece.thinking else "message"
        out += self._begin(kind)
        self._text += piece.thinking or piece.text
        place = {"item_id": self._id(kind), "output_index": len(self._done)}
        if kind == "reasoning":
            name = "response.reasoning_summary_text.delta"
            return out + self._event(name, **place, summary_index=0, delta=piece.thinking)
        return out + self._event(
            "response.output_text.delta", **place, content_index=0, delta=piece.text, logprobs=[]
        )

    def error(self, message: str, fields: Mapping[str, Any] = NO_FIELDS) -> bytes:
        error = {"code": "server_error", "message": message, "param": None, **fields}
        return self._event("error", **error)

    def killed(self) -> bytes:
        """Ollama finds nothing to tell in its own error."""
        return b""

    def whole(self, said: list[Piece], elapsed: float) -> bytes:
        output: list[Fields] = []
        thinking = "".join(piece.thinking for piece in said)
        if thinking:
            output.append(self._item("reasoning", thinking))
        calls = [call for piece in said for call in piece.calls]
        if calls:
            output += [self._call_item(index, call) for index, call in enumerate(calls)]
        else:
            output.append(self._item("message", "".join(piece.text for piece in said)))
        ending = said[-1].ending
        assert ending is not None
        response = self._response("completed", output, self._usage(ending.tokens))
        return msgspec.json.encode(response | {"completed_at": self._created}) + b"\n"

    def _event(self, name: str, **fields: object) -> bytes:
        document = {**fields, "type": name, "sequence_number": self._count}
        self._count += 1
        data = msgspec.json.encode(document, order="deterministic")
        return b"event: %b\ndata: %b\n\n" % (name.encode(), data)

    def _begin(self, kind: str) -> bytes:
        """The beginning of an item, unless it is open."""
        if self._open == kind:
            return b""
        out, self._open = self._close(), kind
        index, item_id = len(self._done), self._id(kind)
        item: Fields = {"id": item_id, "type": kind}
        if kind == "reasoning":
            item["summary"] = []
            return out + self._event("response.output_item.added", output_index=index, item=item)
        item |= {"status": "in_progress", "role": "assistant", "content": []}
        out += self._event("response.output_item.added", output_index=index, item=item)
        return out + self._event(
            "response.content_part.added",
            item_id=item_id,
            output_index=index,
            content_index=0,
            part=_part(""),
        )

    def _close(self) -> bytes:
        """The end of the open item, if there is one."""
        kind, text = self._open, self._text
        if not kind:
            return b""
        item = self._item(kind, text)
        index = len(self._done)
        place: Fields = {"item_id": self._id(kind), "output_index": index}
        if kind == "reasoning":
            name = "response.reasoning_summary_text.done"
            out = self._event(name, **place, summary_index=0, text=text)
        else:
            place["content_index"] = 0
            out = self._event("response.output_text.done", **place, text=text, logprobs=[])
            out += self._event("response.content_part.done", **place, part=_part(text))
        self._done.append(item)
        self._open = self._text = ""
        return out + self._event("response.output_item.done", output_index=index, item=item)

    def _call(self, call: ScriptedCall) -> bytes:
        index = len(self._done)
        item = self._call_item(index, call)
        place = {"item_id": item["id"], "output_index": index}
        begun = item | {"status": "in_progress", "arguments": ""}
        name = "response.function_call_arguments"
        out = self._event("response.output_item.added", output_index=index, item=begun)
        out += self._event(f"{name}.delta", **place, delta=item["arguments"])
        out += self._event(f"{name}.done", **place, arguments=item["arguments"])
        self._done.append(item)
        return out + self._event("response.output_item.done", output_index=index, item=item)

    def _end(self, ending: Ending) -> bytes:
        out = self._close()
        response = self._response("completed", self._done, self._usage(ending.tokens))
        response["completed_at"] = self._created
        return out + self._event("response.completed", response=response)

    def _id(self, kind: str) -> str:
        return f"{'rs' if kind == 'reasoning' else 'msg'}_simulated_{len(self._done)}"

    def _item(self, kind: str, text: str) -> Fields:
        item: Fields = {"id": self._id(kind), "type": kind}
        if kind == "reasoning":
            summary = [{"type": "summary_text", "text": text}]
            return item | {"summary": summary, "encrypted_content": text}
        return item | {"status": "completed", "role": "assistant", "content": [_part(text)]}

    def _call_item(self, index: int, call: ScriptedCall) -> Fields:
        return {
            "id": f"fc_simulated_{index}",
            "type": "function_call",
            "status": "completed",
            "call_id": f"call_{index}",
            "name": call.name,
            "arguments": msgspec.json.encode(call.arguments).decode(),
        }

    def _usage(self, tokens: int) -> Fields:
        prompt = self._ask.prompt_tokens
        return {
            "input_tokens": prompt,
            "output_tokens": tokens,
            "total_tokens": prompt + tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        }

    def _response(self, status: str, output: list[Fields], usage: Fields | None) -> Fields:
        asked = self._ask.request
        text = asked.get("text") or {}
        return {
            "id": "resp_simulated",
            "object": "response",
            "created_at": self._created,
            "completed_at": None,
            "status": status,
            "incomplete_details": None,
            "model": self._ask.model,
            "previous_response_id": None,
            "instructions": asked.get("instructions"),
            "output": output,
            "error": None,
            "tools": asked.get("tools") or [],
            "tool_choice": "auto",
            "truncation": asked.get("truncation", "disabled"),
            "parallel_tool_calls": True,
            "text": text if text.get("format") else {"format": {"type": "text"}},
            "top_p": asked.get("top_p", 1.0),
            "presence_penalty": 0,
            "frequency_penalty": 0,
            "top_logprobs": 0,
            "temperature": asked.get("temperature", 1.0),
            "reasoning": asked.get("reasoning"),
            "usage": usage,
            "max_output_tokens": asked.get("max_output_tokens"),
            "max_tool_calls": None,
            "store": False,
            "background": asked.get("background", False),
            "service_tier": "default",
            "metadata": {},
            "safety_identifier": None,
            "prompt_cache_key": None,
        }


class MessagesEncoder:
    """A message comes in blocks: a thought, a text, the uses of tools."""

    content_type = "text/event-stream"
    whole_type = "application/json"

    def __init__(self, ask: Ask, created_at: datetime, spent: Spent) -> None:
        self._ask = ask
        self._begun = False
        self._open = ""
        self._index = 0
        self._called = False

    def piece(self, piece: Piece, elapsed: float) -> bytes:
        out = b""
        if not self._begun:
            self._begun = True
            message = self._message([]) | {"usage": self._usage(0)}
            out = _named("message_start", message=message)
        if piece.ending is not None:
            return out + self._close() + self._end(piece.ending)
        if piece.calls:
            self._called = True
            return out + self._close() + b"".join(map(self._call, piece.calls))
        kind = "thinking" if piece.thinking else "text"
        if self._open != kind:
            out += self._close()
            self._open = kind
            out += self._block("start", content_block={"type": kind, kind: ""})
        delta = {"type": f"{kind}_delta", kind: piece.thinking or piece.text}
        return out + self._block("delta", delta=delta)

    def error(self, message: str, fields: Mapping[str, Any] = NO_FIELDS) -> bytes:
        return b"event: error\ndata: " + anthropic_error(500, message, fields) + b"\n\n"

    def killed(self) -> bytes:
        """Ollama finds nothing to tell in its own error."""
        return b""

    def whole(self, said: list[Piece], elapsed: float) -> bytes:
        content: list[Fields] = []
        thinking = "".join(piece.thinking for piece in said)
        text = "".join(piece.text for piece in said)
        if thinking:
            content.append({"type": "thinking", "thinking": thinking})
        if text:
            content.append({"type": "text", "text": text})
        for call in (call for piece in said for call in piece.calls):
            self._called = True
            content.append(self._use(len(content), call) | {"input": call.arguments})
        ending = said[-1].ending
        assert ending is not None
        message = self._message(content) | {
            "stop_reason": self._reason(ending),
            "usage": self._usage(ending.tokens),
        }
        return msgspec.json.encode(message) + b"\n"

    def _message(self, content: list[Fields]) -> Fields:
        return {
            "id": "msg_simulated",
            "type": "message",
            "role": "assistant",
            "model": self._ask.model,
            "content": content,
        }

    def _usage(self, tokens: int) -> Fields:
        return {"input_tokens": self._ask.prompt_tokens, "output_tokens": tokens}

    def _block(self, what: str, **fields: object) -> bytes:
        return _named(f"content_block_{what}", index=self._index, **fields)

    def _close(self) -> bytes:
        if not self._open:
            return b""
        out = self._block("stop")
        self._open = ""
        self._index += 1
        return out

    def _call(self, call: ScriptedCall) -> bytes:
        arguments = msgspec.json.encode(call.arguments).decode()
        self._open = "tool_use"
        out = self._block("start", content_block=self._use(self._index, call) | {"input": {}})
        out += self._block("delta", delta={"type": "input_json_delta", "partial_json": arguments})
        return out + self._close()

    def _use(self, index: int, call: ScriptedCall) -> Fields:
        return {"type": "tool_use", "id": f"toolu_{index}", "name": call.name}

    def _reason(self, ending: Ending) -> str:
        reasons = {"stop": "end_turn", "length": "max_tokens"}
        return "tool_use" if self._called else reasons.get(ending.reason, "stop_sequence")

    def _end(self, ending: Ending) -> bytes:
        delta = {"stop_reason": self._reason(ending)}
        end = _named("message_delta", delta=delta, usage=self._usage(ending.tokens))
        return end + _named("message_stop")


class CountEncoder(MessagesEncoder):
    """/v1/messages/count_tokens."""

    def whole(self, said: list[Piece], elapsed: float) -> bytes:
        return msgspec.json.encode({"input_tokens": self._ask.prompt_tokens})


def _part(text: str) -> Fields:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _named(name: str, **fields: object) -> bytes:
    """An event of Anthropic's: its type is its name."""
    data = msgspec.json.encode({"type": name, **fields})
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)
