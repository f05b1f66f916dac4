"""The simulated machine over HTTP: Ollama's API, OpenAI's, and a small one to control it.

GET  /simulator/requests   what was asked, in order, with the times of hang-ups
POST /simulator/script     an array of scripts, for the next requests; see `script.Script`
"""

from __future__ import annotations

from functools import partial

import h11
import trio

from oq.backends.simulated.connection import MAX_BODY, Connection, HttpRequest, TooLarge
from oq.backends.simulated.forms import error_body, json_type
from oq.backends.simulated.model_file_calls import BLOBS, PROGRESS, receive_blob, run_progress
from oq.backends.simulated.reading import Refused
from oq.backends.simulated.routes import answer_pages
from oq.backends.simulated.running import RUNS, run_model
from oq.backends.simulated.simulator import Call, Simulator


async def serve_simulator(
    host: str = "127.0.0.1",
    port: int = 0,
    simulator: Simulator | None = None,
    *,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled. `nursery.start` gives the URL, once connections are accepted.

    Port 0 takes a free one. OSError if the address cannot be had. It asks nobody who they are:
    keep it on the loopback address.
    """
    listeners = await trio.open_tcp_listeners(port, host=host)
    bound = listeners[0].socket.getsockname()
    shown = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
    handler = partial(_serve_connection, simulator or Simulator())
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, handler, listeners)
        task_status.started(f"http://{shown}:{bound[1]}")


async def _serve_connection(simulator: Simulator, stream: trio.SocketStream) -> None:
    connection = Connection(stream, uploads=BLOBS)
    try:
        while (request := await connection.receive()) is not None:
            await _serve(simulator, connection, request)
            if not connection.next_cycle():
                return
    except (trio.BrokenResourceError, trio.ClosedResourceError, h11.LocalProtocolError):
        return  # they left, or we have broken it as the script said
    except (h11.RemoteProtocolError, TooLarge) as error:
        await _refuse_connection(connection, error)
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
            await stream.aclose()


async def _refuse_connection(connection: Connection, error: Exception) -> None:
    too_large = isinstance(error, TooLarge)
    text = f"the body is over {MAX_BODY} bytes" if too_large else str(error)
    body = error_body("/", 413 if too_large else 400, text)
    try:
        await connection.respond(413 if too_large else 400, body, connection="close")
    except (trio.BrokenResourceError, h11.LocalProtocolError):
        return


async def _serve(simulator: Simulator, connection: Connection, request: HttpRequest) -> None:
    """Answer one request, unless its caller hangs up before that."""
    if request.path.startswith("/simulator/"):
        await _answer(simulator, connection, request, None)
        return
    call = simulator.record(
        request.method, request.path, request.headers, request.body, query=request.query
    )
    if request.method == "POST" and request.path.startswith(BLOBS):
        await _upload(simulator, connection, request, call)
        return
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_watch, simulator, connection, call, nursery.cancel_scope)
        with simulator.answering(call):
            await _answer(simulator, connection, request, call)
        nursery.cancel_scope.cancel()


async def _upload(
    simulator: Simulator, connection: Connection, request: HttpRequest, call: Call
) -> None:
    """As above, but who hangs up is noticed by the body that ends too early."""
    with simulator.answering(call):
        try:
            await _answer(simulator, connection, request, call)
        except h11.RemoteProtocolError:
            simulator.hang_up(call)
            raise


async def _watch(
    simulator: Simulator, connection: Connection, call: Call, scope: trio.CancelScope
) -> None:
    await connection.wait_hung_up()
    simulator.hang_up(call)
    scope.cancel()


async def _answer(
    simulator: Simulator, connection: Connection, request: HttpRequest, call: Call | None
) -> None:
    try:
        await route(simulator, connection, request, call)
    except trio.BrokenResourceError:
        if call is not None:
            simulator.hang_up(call)


async def route(
    simulator: Simulator, connection: Connection, request: HttpRequest, call: Call | None
) -> None:
    """Answer a request; `call` is how it is remembered, if it is."""
    try:
        if call is None or request.method != "POST" or simulator.lacks_path(request.path):
            await answer_pages(simulator, connection, request)
        elif request.path in RUNS:
            await run_model(simulator, connection, request, call)
        elif request.path in PROGRESS:
            await run_progress(simulator, connection, request, call)
        elif request.path.startswith(BLOBS):
            await receive_blob(simulator, connection, request, call)
        else:
            await answer_pages(simulator, connection, request)
    except Refused as refused:
        # The router has one form for all of its paths: that of the paths which only llama.cpp has.
        form = "/" if simulator.router else request.path
        body = error_body(form, refused.status, refused.message, refused.fields)
        more = {} if refused.retry_after is None else {"retry_after": refused.retry_after}
        await connection.respond(refused.status, body, json_type(request.path), **more)
