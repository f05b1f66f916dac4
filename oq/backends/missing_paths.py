"""Paths that a server turns out not to have.

A server says 404 of a path that it does not know, and of a model that it does not know. Beside that
they say of a path: Ollama (gin) ``404 page not found``, llama.cpp ``File Not Found``, vLLM and
SGLang (FastAPI) ``{"detail":"Not Found"}``, Express ``Cannot POST /v1/messages``, axum nothing at
all, LM Studio ``Unexpected endpoint or method``. Of a model all of them name it, or say "model".

That is a guess, and of the one call that got the error. It is remembered, for all, when the call
has succeeded in another form, unless the error may have been about what its caller wrote.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from oq.backends.echoes import WORD, has_phrase, has_word
from oq.dialects.answer_errors import error_text
from oq.words.errors import BackendError

_NO_SUCH = frozenset({404, 405, 501})
_MODEL = re.compile(r"model", re.IGNORECASE)
_UNEXPECTED = "unexpected endpoint"
_OF_PATHS = frozenset(
    WORD.findall(
        "a allowed any api at been cannot center charset code detail did does doctype endpoint"
        " error exist exists file for found h1 handler head html http in invalid"
        " invalid_request_error is lang match message meta method name nginx no not not_found"
        " not_found_error object of on or page path post pre request requested resource route"
        " server such support supported supports that the this title type unexpected unknown"
        " unsupported url utf-8 was"
    )
)
"""Words of errors about paths."""


def lacks_path(error: BackendError, model: str) -> bool:
    """Whether a server that answers a call for this model like this lacks the call's path."""
    said = _said(error)
    if _UNEXPECTED in said.lower():  # LM Studio says it under any status
        return True
    if error.status not in _NO_SUCH:
        return False
    named = re.search(rf"(?<!\w){re.escape(model)}(?!\w)", said)
    return error.status == 405 or not (_MODEL.search(said) or named)


def may_be_an_echo(error: BackendError, path: str, written: Callable[[], object]) -> bool:
    """Whether an error that sounds as if this path were lacking may be about what its caller wrote:
    it has words in common with that, beside those of such errors. `written` gives the JSON value of
    the call, and is only called if it has others.
    """
    said = _said(error).lower()
    if error.status not in _NO_SUCH and has_phrase(written(), _UNEXPECTED):
        return True
    words = {word for word in WORD.findall(said) if not word.isdigit()}
    others = words - _OF_PATHS - set(WORD.findall(path))
    return bool(others) and has_word(written(), frozenset(others))


def _said(error: BackendError) -> str:
    return "" if error.body is None else error_text(error.body)
