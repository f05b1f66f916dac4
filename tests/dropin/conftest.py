"""One simulated machine and one `oq serve` of each kind for all of these tests."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.dropin.callers import ollama_client, openai_client
from tests.dropin.ways import Machine, direct, through_oq


@pytest.fixture(scope="session")
def machine_process():
    with Machine() as machine:
        yield machine


@pytest.fixture
def machine(machine_process):
    """The simulated machine, as if new."""
    machine_process.fresh()
    yield machine_process
    machine_process.fresh()


@pytest.fixture(scope="session")
def open_ways(machine_process, tmp_path_factory):
    """Opens each way once, when it is first wanted."""
    with ExitStack() as stack:
        opened = {}

        def open_way(name):
            if name not in opened:
                if name == "direct":
                    way = direct(machine_process)
                else:
                    folder = tmp_path_factory.mktemp(name)
                    way = through_oq(machine_process, folder, name.removeprefix("oq-"))
                opened[name] = stack.enter_context(way)
            return opened[name]

        yield open_way


@pytest.fixture(params=["direct", "oq-ollama", "oq-openai"])
def way(request, machine, open_ways):
    """Every way there is."""
    return open_ways(request.param)


@pytest.fixture(params=["direct", "oq-ollama"])
def native_way(request, machine, open_ways):
    """The ways on which the machine speaks Ollama, for what OpenAI's API cannot say."""
    return open_ways(request.param)


@pytest.fixture(params=["oq-ollama", "oq-openai"])
def queued_way(request, machine, open_ways):
    """The ways through oq."""
    return open_ways(request.param)


@pytest.fixture
def through(machine, open_ways):
    """Through oq to a machine that speaks Ollama."""
    return open_ways("oq-ollama")


@pytest.fixture(params=[False, True], ids=["blocking", "async"])
def asynchronous(request):
    return request.param


@pytest.fixture
def theirs(way, asynchronous):
    """The official Ollama client."""
    with ollama_client(way.url, asynchronous=asynchronous) as client:
        yield client


@pytest.fixture
def native(native_way, asynchronous):
    """The official Ollama client, where the machine speaks Ollama."""
    with ollama_client(native_way.url, asynchronous=asynchronous) as client:
        yield client


@pytest.fixture
def openais(way, asynchronous):
    """The official OpenAI client."""
    with openai_client(way.url, asynchronous=asynchronous) as client:
        yield client
