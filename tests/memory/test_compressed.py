"""Compressed bodies that say far more than they have bytes: they are inflated one at a time."""

from __future__ import annotations

import base64
import gzip
import random
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .child import MB, Measured
from .readers import WITHIN
from .talker import LAST, talker

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")

AT_ONCE = 8
SAID = 60 * MB
ROOM = 4 * SAID
"""For one document, a copy or two of it, and some of what the allocator keeps: not for eight."""
REFUSED = 2 * SAID
"""What is refused is not inflated to its end, and no error keeps what was."""


def asked(noise: int) -> bytes:
    drawn = base64.b64encode(random.Random(6).randbytes(noise))
    return gzip.compress(b'{"prompt":"%b%b","model":"m"}' % (drawn, b"0" * (SAID - len(drawn))), 1)


@pytest.mark.parametrize(("noise", "status", "room"), [(0, 413, REFUSED), (MB, 200, ROOM)])
def test_eight_large_ones_at_once(tmp_path: Path, noise: int, status: int, room: int):
    body = asked(noise)
    with talker(LAST) as (where, _), Measured(tmp_path / "data", where) as oq:
        oq.end(oq.submit())
        before = oq.takes()

        def call(_: int) -> int:
            request = urllib.request.Request(
                f"{oq.url}/api/generate", body, {"Content-Encoding": "gzip"}
            )
            try:
                with urllib.request.urlopen(request, timeout=WITHIN) as answer:
                    answer.read()
                    return int(answer.status)
            except urllib.error.HTTPError as error:
                return error.code

        with ThreadPoolExecutor(AT_ONCE) as threads:
            statuses = list(threads.map(call, range(AT_ONCE)))
        taken = oq.took() - before
    assert statuses == [status] * AT_ONCE
    assert taken < room, f"{taken / MB:.0f} MB"
