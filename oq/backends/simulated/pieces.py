"""What the simulated model says in answer to a request, piece by piece. Pure.

A request may want several answers: to several prompts, or `n` to each. Their pieces take turns.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, zip_longest

from oq.backends.simulated.ask import Ask
from oq.backends.simulated.script import Fault, Script, ScriptedCall
from oq.backends.simulated.text import answer, as_json, tokenize


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of an answer: Ollama's `done_reason`, and the tokens that were made. The `last` of
    several has the tokens of all.
    """

    reason: str
    tokens: int
    last: bool = True


@dataclass(frozen=True, slots=True)
class Piece:
    """What the model gives `due` seconds after it began: a text, a thought, calls, a fault or an
    ending. `choice` is the number of the answer that it belongs to; it is made of `tokens`.
    """

    due: float
    text: str = ""
    thinking: str = ""
    calls: tuple[ScriptedCall, ...] = ()
    fault: Fault | None = None
    ending: Ending | None = None
    choice: int = 0
    tokens: int = 1


def pieces(ask: Ask, script: Script) -> list[Piece]:
    """The answer to a request for which a model generates."""
    if ask.load or ask.render_only:
        return [Piece(0, ending=Ending("unload" if ask.unload else "load", 0))]
    prompts = [prompt for prompt in ask.prompts or (ask.prompt,) for _ in range(ask.n)]
    answers = [_answer(ask, script, number, prompt) for number, prompt in enumerate(prompts)]
    tokens = sum(piece.tokens for said, _ in answers for piece in said if not piece.calls)
    if "swapped" in script.quirks:
        answers.reverse()
    turns = chain.from_iterable(zip_longest(*(said for said, _ in answers)))
    ends = [end for _, end in answers]
    ends[-1] = replace(ends[-1], ending=Ending(reason_of(ends[-1]), tokens))
    return timed([*(piece for piece in turns if piece is not None), *ends], script)


def reason_of(end: Piece) -> str:
    """Why an answer ends."""
    return "" if end.ending is None else end.ending.reason


def timed(said: list[Piece], script: Script) -> list[Piece]:
    """The pieces, each with the time at which the script lets it come, up to the script's fault."""
    if script.fault is not None:
        # In place of the end at the latest. A hang is a fault that never comes due.
        ends = max(1, sum(piece.ending is not None for piece in said))
        said = [*said[:-ends][: script.at], Piece(0, fault=script.fault)]
    return list(_timed(said, script))


def _answer(ask: Ask, script: Script, number: int, prompt: str) -> tuple[list[Piece], Piece]:
    """One answer, and its ending as if another answer followed."""
    tokens, reason = _tokens(ask, script, prompt, number % ask.n)
    thoughts = tokenize(script.thinking or f"Thinking about {prompt}") if ask.think else []
    said = [Piece(0, thinking=token, choice=number) for token in thoughts]
    for at in range(0, len(tokens), script.together):
        part = tokens[at : at + script.together]
        said.append(Piece(0, text="".join(part), choice=number, tokens=len(part)))
    ending = Ending(reason, len(thoughts) + len(tokens), last=False)
    if script.tool_calls and ask.tools:
        said.append(Piece(0, calls=script.tool_calls, choice=number))
    return said, Piece(0, ending=ending, choice=number)


def _tokens(ask: Ask, script: Script, prompt: str, first: int) -> tuple[list[str], str]:
    """The tokens of the answer, and the reason for which it ends."""
    if script.tool_calls and ask.tools and script.text is None:
        return [], "stop"
    if script.text is not None:
        text = script.text
    else:
        text = answer(prompt, script.tokens, first)
        if ask.format is not None:
            text = as_json(text, ask.format)
    tokens = tokenize(text)
    limit = ask.options.get("num_predict")
    if isinstance(limit, int) and 0 <= limit < len(tokens):
        return tokens[:limit], "length"
    return tokens, "stop"


def _timed(said: list[Piece], script: Script) -> Iterator[Piece]:
    step = 1 / script.rate if script.rate else 0.0
    count = 0
    for piece in said:
        # A piece comes with its last token, and the end with the last token of all.
        more = 0 if piece.ending is not None else piece.tokens
        due = script.first + max(0, count + more - 1) * step
        yield replace(piece, due=math.inf if piece.fault == "hang" else due)
        count += more
