"""The profile names functions as people find them, the dearest first."""

import pstats
import sysconfig

import pytest

from bench import profile
from bench.profile import ROOT, Entry, entries, modules, place


def test_the_dearest_function_comes_first_and_figures_are_for_each_task():
    stats = pstats.Stats()
    stats.stats = {  # own calls, calls, own seconds, seconds with what it calls, callers
        ("/y/x/a.py", 3, "outer"): (5, 5, 0.25, 1.0, {}),
        ("/y/x/a.py", 9, "inner"): (10, 20, 0.75, 0.75, {}),
    }
    assert entries(stats, tasks=10) == [
        Entry("x/a.py:9 inner", calls=2, own=75_000, share=0.75),
        Entry("x/a.py:3 outer", calls=0.5, own=25_000, share=0.25),
    ]


def test_a_module_has_all_its_functions_and_what_they_call_that_is_built_in():
    built_in = ("~", 0, "<built-in method len>")
    first, second = ("/y/x/a.py", 3, "outer"), ("/y/x/b.py", 9, "inner")
    stats = pstats.Stats()
    stats.stats = {
        first: (5, 5, 0.25, 1.0, {}),
        ("/y/x/a.py", 7, "other"): (5, 5, 0.25, 1.0, {}),
        second: (10, 10, 0.1, 0.4, {first: (10, 10, 0.1, 0.4)}),
        built_in: (3, 3, 0.4, 0.4, {first: (1, 1, 0.1, 0.1), second: (2, 2, 0.3, 0.3)}),
    }
    assert modules(stats, tasks=10) == [
        Entry("x/a.py", calls=1, own=pytest.approx(60_000), share=pytest.approx(0.6)),
        Entry("x/b.py", calls=1, own=pytest.approx(40_000), share=pytest.approx(0.4)),
    ]


def test_places_start_where_people_look():
    packages = sysconfig.get_path("purelib")
    assert place(str(ROOT / "oq" / "store" / "store.py"), 7, "write") == "oq/store/store.py:7 write"
    assert place(f"{packages}/trio/_core/_run.py", 7, "run") == "trio/_core/_run.py:7 run"
    assert place("/usr/lib/python3.11/json/decoder.py", 7, "decode") == "json/decoder.py:7 decode"
    assert place("~", 0, "<built-in method len>") == "built-in method len"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["post", "--tasks", "0"], "post takes 1 at least"),
        (["bulk", "--tasks", "999"], "bulk takes 1000 at least"),
        (["streams", "--tasks", "50"], "streams takes 100 at least"),
        (["call", "--tasks", "15"], "call takes 16 at least"),
        (["chunk", "--tasks", "600"], "chunk takes 640 at least"),
        (["post", "--top", "0"], "--top must be more than 0"),
    ],
)
def test_what_is_too_little_to_look_at_is_an_error_of_one_line(
    monkeypatch, capsys, arguments, problem
):
    monkeypatch.setattr("sys.argv", ["profile", *arguments])
    with pytest.raises(SystemExit) as ended:
        profile.main()
    assert ended.value.code == 2
    assert problem in capsys.readouterr().err


def test_a_profile_of_the_queue_is_a_table(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["profile", "sequential", "--tasks", "50", "--top", "3"])
    assert profile.main() == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[0] == "| function | calls each | own µs each | share |"
    assert len(rows) == 5


def test_a_profile_of_the_daemon_is_that_of_its_process(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["profile", "post", "--tasks", "50", "--top", "400"])
    assert profile.main() == 0
    assert "h11/_connection.py" in capsys.readouterr().out


@pytest.mark.parametrize("scenario", ["call", "chunk"])
def test_a_profile_of_the_gateway_is_a_table_of_modules(monkeypatch, capsys, scenario):
    monkeypatch.setattr("sys.argv", ["profile", scenario, "--tasks", "640", "--top", "400"])
    assert profile.main() == 0
    head, _, *rows = capsys.readouterr().out.splitlines()
    assert head == "| module | calls each | own µs each | share |"
    named = [row.split("`")[1] for row in rows]
    assert "oq/actors/streams.py" in named
    assert len(named) == len(set(named))
