"""A simulated Ollama server, for trying oq without a model and for tests.

    script      how to answer a request; refusals: which requests a script refuses
    text        the text of an answer: always the same for the same prompt
    loaded      the models in memory, and the line of calls that need another one; router: the
                same as llama.cpp has it. runner: one model in memory; slots: what it answers at
                once; load_group: what it was loaded with; place: one in that line; spent: where a
                call's time goes
    model_files the models on its disk, and uploads
    ask         a request, by whichever API it came: ask_openai, ask_dicts, ask_forms; reading: JSON
                as Go reads it; packed: bodies that are compressed
    pieces      what the model says, piece by piece
    encoders    pieces as an API sends them: render_ollama, encode_events, encode_llama,
                encode_media; forms: errors; quirks: the habits of other servers
    simulator   the simulator itself: its models, its scripts, and the requests that it got
    backend     runs it as a backend inside the process, without sockets
    server      runs it over HTTP: connection, running, model_file_calls, routes, router_pages

`serve_simulator` is in `oq.backends.simulated.server`, which needs h11.
"""

from oq.backends.simulated.backend import NoopBackend, SimulatedBackend
from oq.backends.simulated.script import Script, ScriptedCall
from oq.backends.simulated.simulator import Call, Simulator

__all__ = ["Call", "NoopBackend", "Script", "ScriptedCall", "SimulatedBackend", "Simulator"]
