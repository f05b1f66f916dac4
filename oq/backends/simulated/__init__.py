"""A simulated Ollama server, for trying oq without a model and for tests.

    script      how to answer a request
    text        the text of an answer: always the same for the same prompt
    loaded      the models in memory: loading takes time, and only some fit
    model_files the models on its disk, and uploads
    ask         a request, from either of the two APIs
    simulator   the simulator itself: decides each answer and records the requests
    backend     runs it as a backend inside the process, without sockets
    server      runs it over HTTP: connection, running, model_file_calls, routes, encoders

`serve_simulator` is in `oq.backends.simulated.server`, which needs h11.
"""

from oq.backends.simulated.backend import NoopBackend, SimulatedBackend
from oq.backends.simulated.script import Script, ScriptedCall
from oq.backends.simulated.simulator import Call, Simulator

__all__ = ["Call", "NoopBackend", "Script", "ScriptedCall", "SimulatedBackend", "Simulator"]
