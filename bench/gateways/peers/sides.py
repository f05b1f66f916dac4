"""Who takes part: each gateway, what it needs, and how it is started in front of a backend.

All listen on 127.0.0.1 only, and have what they write below a directory of their own. They run as
they come, but for what would be unfair or reach out: no access log, no retries, no keys, no look at
the network for prices.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench.gateways.bodies import CHAT, COMPLETIONS
from bench.gateways.served import served
from bench.peers import install
from bench.peers.servers import free_port, program
from bench.scenario import ROOT

HERE = Path(__file__).parent
LITELLM, ROUTERS = "requirements-litellm.txt", "requirements-routers.txt"
NODE = "package.json"
WORKERS = 256
PATIENCE = 120.0
"""Seconds that a gateway gets to come up; LiteLLM takes half a minute of processor time."""


@dataclass(frozen=True)
class Running:
    """A gateway that takes calls; `session` has its processes."""

    url: str
    session: int
    data: Path | None = None
    """Where oq keeps its tasks."""


Starter = Callable[[Path, str], AbstractContextManager[Running]]
"""Starts a gateway whose files are below the directory, in front of the backend at this URL."""


@dataclass(frozen=True)
class Side:
    """A row of the table."""

    name: str
    """As `--only` takes it."""
    title: str
    start: Starter
    needs: tuple[str, ...] = ()
    path: str = COMPLETIONS
    headers: Callable[[str], Mapping[str, str]] = lambda _: {}
    """Those that a call has, by the backend's URL."""

    @property
    def ours(self) -> bool:
        return self.name.startswith("oq")


@contextmanager
def oq(place: Path, backend: str) -> Iterator[Running]:
    with served(ROOT, backend, WORKERS, place) as started:
        yield Running(started.url, started.pid, place / "data")


@contextmanager
def _program(
    command: list[str], port: int, place: Path, environ: Mapping[str, str] | None = None
) -> Iterator[Running]:
    with program(command, port, place, environ=environ, patience=PATIENCE) as pid:
        yield Running(f"http://127.0.0.1:{port}", pid)


NGINX = """
daemon off;
{user}
worker_processes auto;
pid {place}/nginx.pid;
error_log {place}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    upstream backend {{ server {backend}; keepalive 512; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port};
        keepalive_requests 1000000000;
        location / {{
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""


@contextmanager
def nginx(place: Path, backend: str) -> Iterator[Running]:
    port, file = free_port(), place / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    file.write_text(
        NGINX.format(place=place, backend=urlsplit(backend).netloc, port=port, user=user)
    )
    program_ = shutil.which("nginx") or "/usr/sbin/nginx"
    with _program([program_, "-c", str(file), "-p", str(place)], port, place) as running:
        yield running


@contextmanager
def portkey(place: Path, backend: str) -> Iterator[Running]:
    port = free_port()
    script = HERE / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    command = ["node", "-r", str(HERE / "portkey.cjs"), str(script), f"--port={port}"]
    environ = os.environ | {"TRUSTED_CUSTOM_HOSTS": "127.0.0.1", "NODE_ENV": "production"}
    with _program([*command, "--headless"], port, place, environ) as running:
        yield running


def _of_portkey(backend: str) -> dict[str, str]:
    return {
        "Authorization": "Bearer none",
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"{backend}/v1",
    }


@contextmanager
def litellm(place: Path, backend: str) -> Iterator[Running]:
    port, file = free_port(), place / "config.yaml"
    model = {"model": "openai/m", "api_base": f"{backend}/v1", "api_key": "none"}
    document = {
        "model_list": [{"model_name": "m", "litellm_params": model}],
        "litellm_settings": {"telemetry": False, "num_retries": 0},
    }
    file.write_text(json.dumps(document))
    environ = os.environ | {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    environ["LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY"] = "true"  # it is on loopback
    script = install.environment(LITELLM) / "bin" / "litellm"
    command = [install.python(LITELLM), str(script), "--config", str(file)]
    with _program(
        [*command, "--host", "127.0.0.1", "--port", str(port)], port, place, environ
    ) as running:
        yield running


def router(module: str) -> Starter:
    """A router in Rust: `python -m MODULE.launch_router`."""

    @contextmanager
    def start(place: Path, backend: str) -> Iterator[Running]:
        port = free_port()
        command = [install.python(ROUTERS), "-m", f"{module}.launch_router", "--host", "127.0.0.1"]
        command += ["--port", str(port), "--worker-urls", backend, "--policy", "round_robin"]
        command += ["--prometheus-host", "127.0.0.1", "--prometheus-port", str(free_port())]
        command += ["--log-level", "error", "--disable-retries"]
        with _program(command, port, place) as running:
            yield running

    return start


@contextmanager
def nobody(place: Path, backend: str) -> Iterator[Running]:
    """The callers ask the backend itself."""
    yield Running(backend, os.getsid(0))


OURS = (
    Side("oq", "**oq**, POST /v1/chat/completions", oq),
    Side("oq-chat", "**oq**, POST /api/chat", oq, path=CHAT),
)
PEERS = (
    Side("nginx", "nginx", nginx, ("nginx",)),
    Side("vllm", "vLLM's router (Rust)", router("vllm_router"), (ROUTERS,)),
    Side("sglang", "SGLang's gateway (Rust)", router("sglang_router"), (ROUTERS,)),
    Side("portkey", "Portkey's gateway (Node)", portkey, ("node", NODE), headers=_of_portkey),
    Side("litellm", "LiteLLM proxy", litellm, (LITELLM,)),
)
NOBODY = Side("direct", "no gateway: the backend itself", nobody)


def chosen(only: Iterable[str]) -> list[Side]:
    """oq, the peers that were named, or all, and nobody. ValueError names what there is not."""
    wanted = {name.strip() for name in only} - {""}
    names = {side.name for side in PEERS}
    if unknown := sorted(wanted - names):
        raise ValueError(f"no gateway {', '.join(unknown)}; there are {', '.join(sorted(names))}")
    return [*OURS, *(side for side in PEERS if not wanted or side.name in wanted), NOBODY]


def got(sides: Iterable[Side]) -> dict[str, str]:
    """Install what they need; what could not be had, and why."""
    wanted = {need for side in sides for need in side.needs}
    found = install.programs(
        [need for need in ("nginx", "node") if need in wanted and not install.there(need)]
    )
    for file in (ROUTERS, LITELLM):
        if file in wanted and (problem := install.python_packages(HERE / file)) is not None:
            found[file] = problem
    if NODE in wanted and "node" not in found:
        problem = install.node_packages(HERE)
        if problem is not None:
            found[NODE] = problem
    return found


def versions() -> str:
    """Of the peers, as they are asked for or say it."""
    lines = [*_lines(HERE / LITELLM), *_lines(HERE / ROUTERS)]
    wanted = json.loads((HERE / NODE).read_text())["dependencies"]
    lines += [f"{name} {version}" for name, version in wanted.items()]
    said = subprocess.run(
        [shutil.which("nginx") or "/usr/sbin/nginx", "-v"], capture_output=True, text=True
    )
    return ", ".join([*lines, said.stderr.strip().rpartition(": ")[2]])


def _lines(file: Path) -> list[str]:
    text = (line for line in file.read_text().splitlines() if line and line[0] != "#")
    return [line.replace("==", " ") for line in text]
