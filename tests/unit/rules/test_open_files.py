"""How the files that a process may open are shared."""

from __future__ import annotations

import pytest

from oq.rules.open_files import LEAST, PLENTY, connections, tables


def test_with_plenty_of_files_all_tables_stay_open():
    assert tables(PLENTY) == -1
    assert tables(PLENTY - 1) == (PLENTY - 1) // 4


def test_the_store_keeps_the_fewest_tables_that_rocksdb_takes():
    assert tables(0) == tables(80) == 20


@pytest.mark.parametrize("limit", [LEAST, 256, 1024, 4096, PLENTY - 1])
@pytest.mark.parametrize("workers", [1, 4])
def test_all_parts_together_are_within_the_limit(limit, workers):
    """Each connection may have a request passed on; half as many more may be refused."""
    clients = connections(limit, workers)
    assert clients >= 1
    assert tables(limit) + workers + clients * 5 // 2 < limit


def test_each_worker_costs_connections_and_too_many_leave_none():
    assert connections(1024, 4) > connections(1024, 104) > 0
    assert connections(256, 200) < 1
