"""A faithful fake Ollama: to try oq without a model, to load-test it, and to test against it.

    script      what it is told to do with a request
    text        what its model says: the same for the same prompt
    loaded      its memory: loading costs, and only so many models fit
    model_files its disk: the models that exist, and uploads
    ask         a request, whichever of the two APIs it came by
    simulator   the machine: decides, and remembers what it was asked
    backend     it runs within the process, on trio's clock only
    server      it runs over HTTP: connection, running, model_file_calls, routes, encoders

`serve_simulator` is in `oq.backends.simulated.server`, which needs h11.
"""

from oq.backends.simulated.backend import NoopBackend, SimulatedBackend
from oq.backends.simulated.script import Script, ScriptedCall
from oq.backends.simulated.simulator import Call, Simulator

__all__ = ["Call", "NoopBackend", "Script", "ScriptedCall", "SimulatedBackend", "Simulator"]
