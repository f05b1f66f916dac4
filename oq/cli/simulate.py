"""`oq simulate`."""

from __future__ import annotations

import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from oq.cli.listening import listening_errors

if TYPE_CHECKING:
    from oq.backends.simulated import Simulator

_SECONDS = click.FloatRange(min=0, max=1e6)


@click.command("simulate")
@click.option("--host", default="127.0.0.1", help="The address to listen on [127.0.0.1].")
@click.option("--port", type=click.IntRange(0, 65535), default=11435, help="The port [11435].")
@click.option(
    "--tokens-per-second", type=_SECONDS, default=50.0, help="The speed of an answer [50]."
)
@click.option(
    "--tokens", type=click.IntRange(0, 1_000_000), default=16, help="Tokens in an answer [16]."
)
@click.option("--delay", type=_SECONDS, default=0.0, help="Seconds before the first token [0].")
@click.option("--load", type=_SECONDS, default=0.0, help="Seconds for loading a model [0].")
@click.option(
    "--max-models",
    "--max-loaded",
    "max_models",
    type=click.IntRange(min=1),
    help="Models in memory at once [3; with --router 1].",
)
@click.option(
    "--parallel",
    type=click.IntRange(min=0),
    default=1,
    help="Calls that a model answers at once; 0: no limit [1].",
)
@click.option(
    "--max-queue",
    type=click.IntRange(min=0),
    default=512,
    help="Calls that wait for a load before others get 503 [512].",
)
@click.option(
    "--keep-alive", type=_SECONDS, default=300.0, help="Seconds that a model stays [300]."
)
@click.option("--router", is_flag=True, help="Be llama.cpp's router instead of Ollama.")
@click.option(
    "--model", "models", multiple=True, help="A model to have; may be repeated [any name]."
)
@click.option("--without", "lacks", multiple=True, help="A path to lack; may be repeated [none].")
def simulate_(
    host: str,
    port: int,
    tokens_per_second: float,
    tokens: int,
    delay: float,
    load: float,
    max_models: int | None,
    parallel: int,
    max_queue: int,
    keep_alive: float,
    router: bool,
    models: tuple[str, ...],
    lacks: tuple[str, ...],
) -> None:
    """Run a fake model server until Ctrl-C. It invents its answers.

    It has the APIs of Ollama, OpenAI, Anthropic and llama.cpp, and loads models and lines up calls
    as Ollama does. The field options.simulate (of Ollama's calls) or simulate (of all others) of a
    request can change the answer to it.
    """
    import trio

    from oq.backends.simulated import Script, Simulator

    simulator = Simulator(
        Script(delay=delay, rate=tokens_per_second, tokens=tokens),
        models=models or None,
        load=load,
        max_models=max_models or (1 if router else 3),
        parallel=parallel or None,
        max_queue=max_queue,
        keep_alive=keep_alive,
        router=router,
        lacks=lacks,
    )
    with listening_errors(host, port):
        trio.run(_serve, host, port, simulator)


async def _serve(host: str, port: int, simulator: Simulator) -> None:
    import trio

    from oq.backends.simulated.server import serve_simulator

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            url = await nursery.start(serve_simulator, host, port, simulator)
            with suppress(OSError):  # whoever started us may not have stayed to read it
                print(f"simulated Ollama at {url}; every answer is made up", flush=True)
            async for _ in signals:
                nursery.cancel_scope.cancel()
                return
