"""The profile names functions as people find them, the dearest first."""

import cProfile
import pstats
import sysconfig

from bench import profile
from bench.profile import ROOT, entries, place


def dear():
    return sum(number * number for number in range(20_000))


def cheap():
    return 1


def test_the_dearest_function_comes_first_and_counts_are_for_each_task():
    watcher = cProfile.Profile()
    with watcher:
        for _ in range(10):
            dear()
            cheap()
    found = {entry.where.split()[-1]: entry for entry in entries(pstats.Stats(watcher), tasks=5)}
    assert found["cheap"].calls == 2
    assert found["dear"].calls == 2
    assert next(iter(found)) == "<genexpr>"
    assert found["<genexpr>"].own > found["cheap"].own
    assert abs(sum(entry.share for entry in found.values()) - 1) < 0.01


def test_places_start_where_people_look():
    packages = sysconfig.get_path("purelib")
    assert place(str(ROOT / "oq" / "store" / "store.py"), 7, "write") == "oq/store/store.py:7 write"
    assert place(f"{packages}/trio/_core/_run.py", 7, "run") == "trio/_core/_run.py:7 run"
    assert place("/usr/lib/python3.11/json/decoder.py", 7, "decode") == "decoder.py:7 decode"
    assert place("~", 0, "<built-in method len>") == "built-in method len"


def test_a_profile_of_the_queue_is_a_table(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["profile", "sequential", "--tasks", "50", "--top", "3"])
    assert profile.main() == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[0] == "| function | calls a task | own µs a task | share |"
    assert len(rows) == 5


def test_a_profile_of_the_daemon_is_that_of_its_process(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["profile", "post", "--tasks", "50", "--top", "400"])
    assert profile.main() == 0
    assert "h11/_connection.py" in capsys.readouterr().out
