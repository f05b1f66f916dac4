"""Make a release ready: `make release VERSION=1.2.3`. Nothing is pushed and nothing is published.

It refuses a work tree with changes. It writes the version and the date where they stand, builds the
sdist and from that the wheel, checks both, and installs the wheel into an empty environment. When a
step fails, the files are as they were before. At the end it prints the commands that publish.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path

REPO = Path(__file__).parents[1]
DIST = REPO / "dist"
PAGE = "oq/http/static/index.html"

_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
_HEADING = re.compile(r"^## \[(.+?)\].*$", re.M)
_UNRELEASED = "## [Unreleased]"


class NotReady(Exception):
    """This cannot be released, and why."""


# -- pure


def released(changelog: str) -> list[str]:
    """The versions that a changelog has, newest first."""
    return [name for name in _HEADING.findall(changelog) if name != "Unreleased"]


def check_version(version: str, changelog: str) -> None:
    """NotReady unless `version` is x.y.z and higher than each released one."""
    if not _VERSION.fullmatch(version):
        raise NotReady(f"{version!r} is no version; write make release VERSION=1.2.3")
    for other in released(changelog):
        if _numbers(version) <= _numbers(other):
            raise NotReady(f"{version} is not higher than {other}, which CHANGELOG.md has")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def changelog_with(changelog: str, version: str, day: date) -> str:
    """What was unreleased belongs to `version`; a new empty section stands above it."""
    before, heading, rest = changelog.partition(f"{_UNRELEASED}\n")
    if not heading:
        raise NotReady(f"CHANGELOG.md has no line {_UNRELEASED!r}")
    changes = rest.partition("\n## ")[0]
    if not re.search(r"^- ", changes, re.M):
        raise NotReady("CHANGELOG.md names no change since the last release")
    return f"{before}{heading}\n## [{version}] - {day:%Y-%m-%d}\n{rest}"


def with_version(text: str, name: str, version: str) -> str:
    """The one line ``name = "..."`` of a file, with this version instead."""
    made, count = re.subn(rf'(?m)^{name} = ".*"$', f'{name} = "{version}"', text)
    if count != 1:
        raise NotReady(f"there are {count} lines {name} = ..., not one")
    return made


def rewritten(version: str, day: date, root: Path = REPO) -> dict[Path, str]:
    """The files that tell the version, as they are to be."""
    changelog, project = root / "CHANGELOG.md", root / "pyproject.toml"
    command = root / "oq" / "cli" / "__init__.py"
    check_version(version, changelog.read_text())
    return {
        changelog: changelog_with(changelog.read_text(), version, day),
        project: with_version(project.read_text(), "version", version),
        command: with_version(command.read_text(), "VERSION", version),
    }


def missing(names: Iterable[str], wanted: Iterable[str]) -> list[str]:
    """What is wanted and is not in an archive, whose names may begin with a folder of its own."""
    there = set(names)
    inside = {name.partition("/")[2] for name in there}
    return sorted(set(wanted) - there - inside)


# -- the world


def main(version: str) -> None:
    """Write, build and check; put the files back if that fails."""
    if changes := _run("git", "status", "--porcelain"):
        raise NotReady(f"the work tree has changes; commit them first:\n{changes}")
    files = rewritten(version, datetime.now(UTC).date())
    before = {path: path.read_text() for path in files}
    try:
        for path, text in files.items():
            path.write_text(text)
        sdist, wheel = build(version)
        check(sdist, wheel, version)
    except BaseException:
        for path, text in before.items():
            path.write_text(text)
        raise
    print(f"{sdist}\n{wheel}\nare ready. To publish them:")
    print(f'  git commit -am "oq {version}" && git tag v{version} && git push --follow-tags')
    print(f"  uv publish {sdist.relative_to(REPO)} {wheel.relative_to(REPO)}")


def build(version: str) -> tuple[Path, Path]:
    """The sdist, and the wheel that is made from it."""
    _run(sys.executable, "-m", "uv", "build", "--quiet", "--clear", "--out-dir", str(DIST))
    return DIST / f"oq-{version}.tar.gz", DIST / f"oq-{version}-py3-none-any.whl"


def check(sdist: Path, wheel: Path, version: str) -> None:
    """Both hold oq and the dashboard, the index will take them, and the wheel runs by itself."""
    tracked = _run("git", "ls-files", "oq").split()
    with tarfile.open(sdist) as archive:
        _none_missing(sdist, archive.getnames(), [*tracked, PAGE, "LICENSE", "README.md"])
    _none_missing(wheel, zipfile.ZipFile(wheel).namelist(), [*tracked, PAGE])
    uv = (sys.executable, "-m", "uv")
    _run(*uv, "tool", "run", "--quiet", "twine", "check", "--strict", str(sdist), str(wheel))
    with tempfile.TemporaryDirectory() as folder:
        _run(*uv, "venv", "--quiet", "--python", sys.executable, folder)
        _run(*uv, "pip", "install", "--quiet", "--python", folder, str(wheel))
        said = _run(f"{folder}/bin/oq", "--version", cwd=folder)
    if said != f"oq {version}":
        raise NotReady(f"the wheel says {said!r}, not 'oq {version}'")


def _none_missing(archive: Path, names: Iterable[str], wanted: Iterable[str]) -> None:
    if lacking := missing(names, wanted):
        raise NotReady(f"{archive.name} lacks {', '.join(lacking)}")


def _run(*command: str, cwd: Path | str = REPO) -> str:
    """What it prints; NotReady with what it complains of."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        raise NotReady(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:] or [""])
    except NotReady as error:
        sys.exit(f"not released: {error}")
