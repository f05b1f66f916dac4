"""Getting the peers: servers from Debian, packages from PyPI and npm, each into its own place.

Programs that are there already are used; packages are installed anew when the file that names their
versions has changed. What cannot be had is told with the reason, and whoever needs it does not take
part.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bench.peers.servers import postgres_binaries
from bench.peers.sides import ENVIRONMENTS, NODE, SCRIPTS
from bench.runner import say

ROOT = Path(__file__).parents[2]
PLACE = ROOT / ".venv-peers"
REQUIREMENTS = Path(__file__).parent
PACKAGES = {
    "redis-server": ("redis-server",),
    "beanstalkd": ("beanstalkd",),
    "postgres": ("postgresql",),
    "node": ("nodejs", "npm"),
    "nginx": ("nginx-light",),
}
"""Debian's packages, by the program that is wanted of them."""
POLICY = Path("/usr/sbin/policy-rc.d")
"""Debian asks this program whether a package may start its service; 101 says no."""


def install(wanted: set[str]) -> dict[str, str]:
    """Get what is wanted; what is missing all the same, and why."""
    problems = programs([need for need in PACKAGES if need in wanted and not there(need)])
    for file in ENVIRONMENTS:
        if file in wanted:
            problems |= _attempt(file, partial(python_packages, REQUIREMENTS / file))
    if NODE in wanted and "node" not in problems:
        problems |= _attempt(NODE, partial(node_packages, SCRIPTS))
    return problems


def python(file: str) -> str:
    """The Python that has the packages of a requirements file."""
    return str(environment(file) / "bin" / "python")


def environment(file: str) -> Path:
    """Where the packages of a requirements file with this name are."""
    return PLACE / Path(file).stem


def there(program: str) -> bool:
    if program == "postgres":
        return postgres_binaries() is not None
    return shutil.which(program) is not None


def programs(missing: list[str]) -> dict[str, str]:
    """Get these programs from Debian; which are missing all the same, and why."""
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


def python_packages(requirements: Path) -> str | None:
    """Make an environment of what the requirements file says; what is wrong if that failed."""
    place = environment(requirements.name)
    marker = _marker(place, requirements.read_bytes(), sys.version.encode())
    if marker.exists():
        return None
    say(f"installing {requirements.name} into {place.relative_to(ROOT)}")
    problem = _failure([sys.executable, "-m", "venv", "--clear", str(place)])
    interpreter = python(requirements.name)
    pip = [interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    problem = problem or _failure([*pip, "--no-input", "-r", str(requirements)])
    if problem is None:
        marker.touch()
    return problem


def node_packages(folder: Path) -> str | None:
    """Install what `package.json` in the folder says, beside it; what is wrong if that failed."""
    modules = folder / "node_modules"
    marker = _marker(modules, (folder / NODE).read_bytes())
    if marker.exists():
        return None
    if shutil.which("npm") is None:
        return "there is Node but no npm: apt-get install npm"
    say(f"installing {NODE} into {modules.relative_to(ROOT)}")
    npm = ["npm", "install", "--prefix", str(folder), "--no-package-lock", "--ignore-scripts"]
    problem = _failure([*npm, "--no-audit", "--no-fund", "--loglevel", "error"])
    if problem is None:
        marker.touch()
    return problem


def _marker(directory: Path, *made_of: bytes) -> Path:
    """The file in it that says that it was wholly made, of just this, and there."""
    sum_ = hashlib.sha256(b"\0".join([*made_of, str(directory).encode()]))
    return directory / f".ready-{sum_.hexdigest()[:16]}"


def _attempt(need: str, step: Callable[[], str | None]) -> dict[str, str]:
    problem = step()
    return {} if problem is None else {need: problem}


def _failure(command: list[str], environ: dict[str, str] | None = None) -> str | None:
    """Run it to its end; what it says is wrong if it failed."""
    ended = subprocess.run(
        command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if ended.returncode == 0:
        return None
    words = (ended.stderr or ended.stdout).strip().splitlines()
    wrong = [line for line in words if "error" in line.lower() or line.startswith("E: ")]
    told = "; ".join(wrong[:2] or words[-1:]) or f"exit code {ended.returncode}"
    return f"{' '.join(Path(part).name for part in command[:2])} failed: {told}"
