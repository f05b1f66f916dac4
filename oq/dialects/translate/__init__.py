"""Translates calls for servers that do not have them. Pure: no I/O, no clock.

    translation      one call as another: the request up, the answer down
    chat_request     what a request asks for, whatever form it has
        from_responses, items, offered      read from OpenAI's Responses API
        from_messages, blocks               read from Anthropic's Messages API
        dialogue                            its messages, put together
        to_chat, to_ollama                  written for chat completions, and for Ollama's /api/chat
    bits             what an answer says, whatever form it has
        chat_answer, ollama_answer          read from those two
        order                               block after block
        responses_events, messages_events   written for those APIs

What would change the meaning of the answer and has no counterpart is an InvalidTask that names the
field. Hints, and tools that the model need not use, are left out and named.

How it is used:

    how = translation(call, backend.speaks)             # None: nobody translates it
    translated = how.request(body)                      # InvalidTask: 400
    ...                                                 # send its body to its endpoint
    stream = translated.stream(answer_id, now, limit)   # or translated.whole(body, answer_id, now)
    frames = stream.feed(data)                          # until stream.done, or the bytes end
    frames = stream.end()
"""

from __future__ import annotations

from oq.dialects.anthropic import ANTHROPIC
from oq.dialects.base import Dialect, Endpoint
from oq.dialects.ollama import OLLAMA
from oq.dialects.openai import OPENAI
from oq.dialects.responses import RESPONSES
from oq.dialects.translate.chat_answer import ChatAnswer
from oq.dialects.translate.chat_request import ChatRequest, Json
from oq.dialects.translate.from_messages import read_messages
from oq.dialects.translate.from_responses import read_responses
from oq.dialects.translate.messages_events import MessagesWriter
from oq.dialects.translate.ollama_answer import OllamaAnswer
from oq.dialects.translate.responses_events import ResponsesWriter
from oq.dialects.translate.to_chat import chat_body
from oq.dialects.translate.to_ollama import ollama_body
from oq.dialects.translate.translation import (
    Form,
    MakeWriter,
    ReadRequest,
    Translated,
    TranslatedStream,
    Translation,
)

__all__ = ["Translated", "TranslatedStream", "Translation", "is_translated", "translation"]


def is_translated(call: Endpoint) -> bool:
    """Whether it can be made in another form at servers that have no such path."""
    return call.path in _READ


def translation(call: Endpoint, speaks: tuple[Dialect, ...]) -> Translation | None:
    """How `call` is made at a server that speaks these dialects but has no such path. None: it
    cannot be. Ollama's own form comes first: it can say more there.
    """
    read = _READ.get(call.path)
    if read is None:
        return None
    for dialect, form in _FORMS.items():
        if dialect in speaks:
            endpoint = next(one for one in dialect.endpoints if one.path == form.path)
            return Translation(call, endpoint, read, form)
    return None


def _responses(body: Json) -> tuple[ChatRequest, MakeWriter]:
    asked, offered = read_responses(body)
    return asked, lambda answer_id, now, keeps: ResponsesWriter(body, offered, answer_id, now)


def _messages(body: Json) -> tuple[ChatRequest, MakeWriter]:
    asked = read_messages(body)
    return asked, lambda answer_id, now, keeps: MessagesWriter(body, answer_id, keeps=keeps)


_READ: dict[str, ReadRequest] = {
    RESPONSES.endpoints[0].path: _responses,
    ANTHROPIC.endpoints[0].path: _messages,
}
_FORMS: dict[Dialect, Form] = {
    OLLAMA: Form("/api/chat", ollama_body, OllamaAnswer),
    OPENAI: Form("/v1/chat/completions", chat_body, ChatAnswer),
}
