"""Getting the peers: servers from Debian, packages from PyPI and npm, each into its own place.

What is there already is used. What cannot be had is told with the reason, and whoever needs it does
not take part.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.peers.servers import postgres_binaries
from bench.peers.sides import NODE, PYTHON, SCRIPTS
from bench.runner import say

ROOT = Path(__file__).parents[2]
ENVIRONMENT = ROOT / ".venv-peers"
REQUIREMENTS = Path(__file__).parent / "requirements.txt"
PACKAGES = {
    "redis-server": ("redis-server",),
    "beanstalkd": ("beanstalkd",),
    "postgres": ("postgresql",),
    "node": ("nodejs", "npm"),
}
"""Debian's packages, by the program that is wanted of them."""
POLICY = Path("/usr/sbin/policy-rc.d")
"""Debian asks this program whether a package may start its service; 101 says no."""


def install(wanted: set[str]) -> dict[str, str]:
    """Get what is wanted; what is missing all the same, and why."""
    problems = _install_debian([need for need in PACKAGES if need in wanted and not there(need)])
    if PYTHON in wanted:
        problems |= _attempt(PYTHON, _install_python)
    if NODE in wanted and "node" not in problems:
        problems |= _attempt(NODE, _install_node)
    return problems


def python() -> str:
    """The Python that has the peers' packages."""
    return str(ENVIRONMENT / "bin" / "python")


def there(program: str) -> bool:
    if program == "postgres":
        return postgres_binaries() is not None
    return shutil.which(program) is not None


def _install_debian(missing: list[str]) -> dict[str, str]:
    if not missing:
        return {}
    packages = [package for need in missing for package in PACKAGES[need]]
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        why = f"not installed, and only root on Debian can: apt-get install {' '.join(packages)}"
        return dict.fromkeys(missing, why)
    say(f"apt-get install {' '.join(packages)}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    apt = ["apt-get", "-qq", "-y", "--no-install-recommends"]
    with services_stay_off():
        updated = _failure([*apt, "update"], quiet)
        problem = _failure([*apt, "install", *packages], quiet)
    why = problem or updated or "its package does not bring it"
    return {need: why for need in missing if not there(need)}


@contextmanager
def services_stay_off() -> Iterator[None]:
    """What is installed meanwhile is not started as a service of the machine."""
    if POLICY.exists():  # then the machine has its own rule
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    try:
        POLICY.chmod(0o755)
        yield
    finally:
        POLICY.unlink()


def _install_python() -> str | None:
    """The environment carries the requirements' checksum, and is made again when they change."""
    sum_ = hashlib.sha256(REQUIREMENTS.read_bytes() + str(ENVIRONMENT).encode()).hexdigest()
    marker = ENVIRONMENT / f".ready-{sum_[:16]}"
    if marker.exists():
        return None
    say(f"installing {PYTHON} into {ENVIRONMENT.name}")
    problem = _failure([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)])
    pip = [python(), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    problem = problem or _failure([*pip, "-r", str(REQUIREMENTS)])
    if problem is None:
        marker.touch()
    return problem


def _install_node() -> str | None:
    if (SCRIPTS / "node_modules" / "bullmq" / "package.json").exists():
        return None
    if shutil.which("npm") is None:
        return "there is Node but no npm: apt-get install npm"
    say(f"installing {NODE}")
    npm = ["npm", "install", "--prefix", str(SCRIPTS), "--no-package-lock", "--ignore-scripts"]
    return _failure([*npm, "--no-audit", "--no-fund", "--loglevel", "error"])


def _attempt(need: str, step: Callable[[], str | None]) -> dict[str, str]:
    problem = step()
    return {} if problem is None else {need: problem}


def _failure(command: list[str], environ: dict[str, str] | None = None) -> str | None:
    """Run it to its end; its last words if it failed."""
    ended = subprocess.run(
        command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if ended.returncode == 0:
        return None
    words = (ended.stderr or ended.stdout).strip().splitlines()
    last = words[-1] if words else f"exit code {ended.returncode}"
    return f"{' '.join(Path(part).name for part in command[:2])} failed: {last}"
