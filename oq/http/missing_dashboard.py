"""The page at `/` when the dashboard has not been built: it says how to build it."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from importlib.metadata import version

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem}"
    "code{background:#8882;padding:.1em .3em;border-radius:.2em}"
    ":root{color-scheme:light dark}"
)
_LINKS = (
    ("/api/status", "the queue at a glance"),
    ("/api/tasks", "its tasks, the newest first"),
    ("/openapi.json", "everything that the API takes and answers"),
    ("/metrics", "figures for Prometheus"),
)
_ITEMS = "".join(f'<li><a href="{path}"><code>{path}</code></a> {text}' for path, text in _LINKS)

PAGE = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>oq</title><style>{_STYLE}</style>
<h1>oq {version("oq")} is running</h1>
<p>This is a durable priority queue in front of LLM servers. Its dashboard has not been built: run
<code>make page</code> in the source, then load this page again. A wheel has it built in.
Everything else works without:</p>
<ul>{_ITEMS}</ul>
<p>Submit a task: <code>oq submit generate --model NAME --prompt TEXT</code></p>
"""

_HASH = b64encode(sha256(_STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; frame-ancestors 'none'"
"""Its Content-Security-Policy: one style, by its hash, and nothing else."""
