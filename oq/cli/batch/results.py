"""What is written of a line that has ended. Pure.

Of an OpenAI line, a line of OpenAI's output file:
https://platform.openai.com/docs/api-reference/batch/request-output. Of an oq task, its id, state
and result under the custom_id. `error` is null in both when it completed; `asked` tells whether a
line was edited since.
"""

from __future__ import annotations

from typing import Any

from oq.cli.batch.lines import BadLine, Line
from oq.cli.batch.openai_answer import Strange, openai_answer

Result = dict[str, Any]


def completed(line: Line, task_id: str, result: Result) -> Result:
    """The result of a task that has completed, or that it is not one of OpenAI's."""
    if not line.openai:
        return {
            "custom_id": line.custom_id,
            "task_id": task_id,
            "result": result,
            "error": None,
            "asked": line.asked,
        }
    try:
        body = openai_answer(line.task.type, task_id, result, packed=line.packed)
    except Strange as error:
        return refused(line, "invalid_answer", str(error), task_id)
    response = {"status_code": 200, "request_id": task_id, "body": body}
    return {
        "id": _request_id(task_id),
        "custom_id": line.custom_id,
        "response": response,
        "error": None,
        "asked": line.asked,
    }


def refused(line: Line, code: str, message: str, task_id: str | None = None) -> Result:
    """The result of a line that has none: `code` is a word for programs, `message` for people."""
    error = {"code": code, "message": message}
    if not line.openai:
        return {
            "custom_id": line.custom_id,
            "task_id": task_id,
            "result": None,
            "error": error,
            "asked": line.asked,
        }
    return {
        "id": _request_id(task_id or line.key),
        "custom_id": line.custom_id,
        "response": None,
        "error": error,
        "asked": line.asked,
    }


def bad(line: BadLine) -> Result:
    """The result of a line that never became a task."""
    error = {"code": "invalid_line", "message": str(line)}
    return {"custom_id": line.custom_id, "response": None, "error": error}


def _request_id(text: str) -> str:
    return f"batch_req_{text}"
