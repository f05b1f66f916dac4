"""What all tests share: how Hypothesis runs, stores over each engine, and that Ctrl-C is heard.

`make test` runs the same examples each time, so a red run is the change's fault and nobody's luck.
`pytest --hypothesis-profile=explore` draws fresh ones, and more of them.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings
from werkzeug.routing import Rule

from oq.http.site import BUILT
from oq.store import Store
from tests.support.stores import assert_consistent, memory_shelf, rocks_shelf

# `nohup make test &` in a script starts it with SIGINT and SIGHUP ignored. Every process that a
# test starts would inherit that, and be deaf to the signals that it is sent.
for _deaf, _usual in (signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL):
    if signal.getsignal(_deaf) is signal.SIG_IGN:
        signal.signal(_deaf, _usual)

# Servers that tests start as processes of their own have the pace of a model otherwise.
os.environ["OQ_SIMULATED_DELAY"] = os.environ["OQ_SIMULATED_TOKENS_PER_SECOND"] = "0"

# A client of httpx reads the certificates of all authorities when it is made. That takes 35 ms, and
# no test speaks TLS. This file has one certificate, of nobody.
os.environ["SSL_CERT_FILE"] = str(Path(__file__).parent / "support" / "nobody.pem")

settings.register_profile("fixed", deadline=None, max_examples=100, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=1000, print_blob=True)
settings.load_profile("fixed")


SLOW_ROOMS = {"bench", "browser", "corpus", "crash", "dropin", "hostile", "linear", "memory"}
"""Rooms of tests that start browsers and servers, kill them, fill memory, or measure; of drawn
attacks; and of many hundreds of calls over sockets, whose kinds tests/gateway has one by one."""


def room(path: Path) -> str:
    """The directory of tests that `path` is in, or is."""
    here = Path(__file__).parent
    return next(iter(path.relative_to(here).parts), "") if path.is_relative_to(here) else ""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Rooms of slow tests are not even imported where `-m` leaves those out."""
    left_out = "not slow" in config.getoption("-m") and room(collection_path) in SLOW_ROOMS
    return True if left_out else None


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where the tests run in several processes, those of a file run in one, which share servers and
    what they have measured. All that need the browser run in one, which has it only once, and all
    that need the model: two of its servers at once take each other's processors. Files with slow
    tests begin, so that no process is left with a long test when the others have ended.
    """
    for item in items:
        if room(item.path) in SLOW_ROOMS:
            item.add_marker(pytest.mark.slow)
        group = item.nodeid.partition("::")[0]
        if room(item.path) == "browser":
            group = "browser"
        elif item.get_closest_marker("model"):
            group = "model"
        item.add_marker(pytest.mark.xdist_group(group))
    if hasattr(config, "workerinput"):  # one of several processes
        items.sort(key=lambda item: not any(map(item.get_closest_marker, ("slow", "model"))))


@pytest.fixture(params=["memory", "rocks"])
def shelf(request, tmp_path):
    made = memory_shelf() if request.param == "memory" else rocks_shelf(tmp_path / "data")
    yield made
    made.engine.close()


@pytest.fixture
def store(shelf):
    """A store whose indexes and counts are looked through when the test is over."""
    made = shelf.store()
    yield made
    assert_consistent(Store(shelf.engine), shelf.engine)


@pytest.fixture(autouse=True)
def _log_as_if_new() -> Iterator[None]:
    """structlog's own test helpers leave it configured, and an embedded queue takes that for the
    wish of the program around it.
    """
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session", autouse=True)
def _no_urls_of_routes() -> Iterator[None]:
    """For each route of each app Werkzeug compiles functions that make its URL. That is most of the
    time in which an app is made, thousands of times, and oq asks for no such URL.
    """

    def make(*_: object) -> None:
        raise AssertionError("a URL was made from a route")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rule, "_compile_builder", lambda *_: make)
        yield


@pytest.fixture(scope="session")
def built_page() -> None:
    """The dashboard is built, which `make test` sees to. Elsewhere there may be no Node for it, and
    tests that look at it are left out, which is said.
    """
    if not (BUILT / "index.html").exists():
        pytest.skip("the dashboard has not been built; `make page` does that")
