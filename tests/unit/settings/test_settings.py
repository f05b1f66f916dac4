"""Settings: which layer wins, and what is said of a value that will not do."""

from __future__ import annotations

from pathlib import Path

import pytest

from oq.cli.options import server_address
from oq.settings import load_settings, variable
from oq.words.config import Config
from oq.words.errors import InvalidConfig

SEED = """\
ollama:
  host: "http://localhost:11434"
  timeout: "5m"

queue:
  max_workers: 4
  storage_path: "./data"
  cleanup_interval: "1h"
  max_completed_tasks: 1000

scheduler:
  batch_size: 10
  scheduling_interval: "1s"

retry_config:
  max_retries: 3
  initial_delay: "1s"
  max_delay: "30s"
  backoff_factor: 2.0

logging:
  level: "info"
  file: "ollama-queue.log"
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write ./config.yaml in an empty directory, which becomes the current one."""
    monkeypatch.chdir(tmp_path)

    def write(text: str | bytes) -> None:
        Path("config.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())

    return write


def refusal(text: str | bytes, write, environ=None, flags=None) -> str:
    write(text)
    with pytest.raises(InvalidConfig) as caught:
        load_settings(None, flags, environ)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_seeds_file_is_read_whole(write):
    write(SEED)
    settings = load_settings()
    assert settings.source == Path("config.yaml")
    assert settings.config.ollama.timeout == 300
    assert settings.config.queue.cleanup_interval == 3600
    assert settings.config.retry_config.backoff_factor == 2
    assert settings.config.logging.file == "ollama-queue.log"
    assert settings.origins["logging.file"] == "config.yaml:23"


def test_without_anything_there_are_the_defaults(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = load_settings(None, {}, {"HOME": str(tmp_path)})
    assert settings.config == Config()
    assert settings.source is None
    assert {origin for _, _, origin in settings.rows()} == {"default"}


def test_flags_beat_the_environment_which_beats_the_file(write):
    write("queue: {max_workers: 2, storage_path: file, max_pending: 7}\n")
    environ = {"QUEUE_MAX_WORKERS": "3", "QUEUE_STORAGE_PATH": "variable"}
    settings = load_settings(None, {"queue.max_workers": 9, "server.port": None}, environ)
    queue = settings.config.queue
    assert (queue.max_workers, queue.storage_path, queue.max_pending) == (9, "variable", 7)
    assert settings.config.server.port == 7125
    assert settings.origins["queue.max_workers"] == "command line"
    assert settings.origins["queue.storage_path"] == "QUEUE_STORAGE_PATH"
    assert settings.origins["queue.max_pending"] == "config.yaml:1"


def test_the_search_path(tmp_path, monkeypatch):
    home, here = tmp_path / "home", tmp_path / "here"
    (home / ".config/oq").mkdir(parents=True)
    here.mkdir()
    monkeypatch.chdir(here)
    (home / ".config/oq/config.yaml").write_text("queue: {max_workers: 11}\n")
    environ = {"HOME": str(home)}
    assert load_settings(environ=environ).config.queue.max_workers == 11
    (here / "config.yaml").write_text("queue: {max_workers: 12}\n")
    assert load_settings(environ=environ).config.queue.max_workers == 12
    with pytest.raises(InvalidConfig, match=r"cannot read none\.yaml: No such file"):
        load_settings("none.yaml", environ=environ)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "queue:\n  max_workres: 3\n",
            "config.yaml:2: queue.max_workres: unknown key; did you mean max_workers?",
        ),
        ("\nqeue: {}\n", "config.yaml:2: qeue: unknown key; did you mean queue?"),
        (
            "queue:\n  max_workers: 0\n",
            "config.yaml:2: queue.max_workers: expected int >= 1, not 0",
        ),
        (
            "queue:\n  max_workers: many",
            "config.yaml:2: queue.max_workers: expected int, not 'many'",
        ),
        ("queue:\n  max_workers: yes", "config.yaml:2: queue.max_workers: expected int, not True"),
        (
            "queue:\n  max_workers:\n",
            "config.yaml:2: queue.max_workers: there is no value; write one or remove the key",
        ),
        (
            "queue:\n  max_workers: [1]\n",
            "config.yaml:2: queue.max_workers: expected one value, not a list or a section",
        ),
        (
            "queue:\n  max_workers: 1\n  max_workers: 2\n",
            "config.yaml:3: queue.max_workers: given twice, first on line 2",
        ),
        (
            "ollama:\n  timeout: soon\n",
            "config.yaml:2: ollama.timeout: 'soon' is not a duration;"
            " write 30, '500ms', '5m', '1h30m' or '7d'",
        ),
        (
            "logging:\n  level: loud\n",
            "config.yaml:2: logging.level: 'loud' is none of debug, info, warning, error",
        ),
        ("queue: 5\n", "config.yaml:1: queue is a section: expected lines of `key: value`"),
        ("- queue\n", "config.yaml:1: the file is made of sections: expected lines of"),
        ("queue:\n\tmax_workers: 1\n", "config.yaml:2: this is not YAML: found character '\\t'"),
        ("queue: {\n", "config.yaml:2: this is not YAML"),
        ("queue: {}\n---\nqueue: {}\n", "config.yaml:2: this is not YAML: but found another"),
        (b"\xc3\x28", "config.yaml:1: this is not YAML"),
        ("[" * 700, "config.yaml: this is nested too deeply"),
        (
            "retry_config:\n  initial_delay: 1m\n",
            "config.yaml:2: retry_config.max_delay: 30 s is less than retry_config.initial_delay",
        ),
        (
            "retry_config:\n  backoff_factor: .nan\n",
            "config.yaml:2: retry_config.backoff_factor: expected float >= 1.0, not nan",
        ),
        (
            "backends:\n - {name: a, kind: opnai, url: x}\n",
            "config.yaml:2: backends[0].kind: 'opnai' is none of ollama, openai, simulated",
        ),
        (
            "backends:\n - {name: a, kind: simulated, max_concurrency: many}\n",
            "config.yaml:2: backends[0].max_concurrency: 'many' is no number of tasks; write one",
        ),
        (
            "backends:\n - {name: a, kind: simulated, max_concurrency: 1.5}\n",
            "config.yaml:2: backends[0].max_concurrency: 1.5 is no number of tasks; write one",
        ),
        (
            "backends:\n - {name: a, kind: simulated, max_concurrency: 0}\n",
            "config.yaml:2: backends[0].max_concurrency: 0 is no number of tasks; write one",
        ),
        (
            "backends:\n - name: a\n   kind: openai\n",
            "config.yaml:2: backends[0].url: a backend of kind openai needs one",
        ),
        ("backends:\n - kind: simulated\n", "config.yaml:2: backends[0]: there is no name"),
        (
            "backends:\n - {name: a, kind: simulated}\n - {name: a, kind: simulated}\n",
            "config.yaml:3: backends[1].name: 'a' is empty or used twice",
        ),
        (
            "fairness:\n  weights:\n  - {tenant: a, weight: 2}\n  - {tenant: a, weight: 3}",
            "config.yaml:4: fairness.weights[1].tenant: 'a' has a weight already",
        ),
        (
            f"fairness:\n  weights:\n  - {{tenant: {'a' * 129}, weight: 2}}",
            f"config.yaml:3: fairness.weights[0].tenant: '{'a' * 32}'... has 129 characters: no"
            " tenant is called that, as only the first 128 of a name count",
        ),
        ("backends: ollama\n", "config.yaml:1: backends: expected a list, such as [a, b]"),
        (
            "server:\n  allowed_hosts: [a, 1]\n",
            "config.yaml:2: server.allowed_hosts[1]: expected str, not 1",
        ),
        (
            "queue:\n  max_workers: !!python/name:os.system x\n",
            "config.yaml:2: queue.max_workers: 'x' has the tag python/name:os.system",
        ),
        ("server:\n  allowed_hosts: &a [*a]\n", "config.yaml:2: server.allowed_hosts[0]: expected"),
    ],
)
def test_a_bad_file_is_refused_by_key_and_line(text, message, write):
    assert refusal(text, write).startswith(message)


def test_a_bad_api_key_is_not_shown(write):
    text = "backends:\n - {name: a, kind: openai, url: x, api_key: 31337}\n"
    assert "31337" not in refusal(text, write)


def test_an_empty_section_and_an_empty_optional_value_are_fine(write):
    write("queue:\nlogging:\n  file:\nbackends:\n")
    assert load_settings().config == Config()


@pytest.mark.parametrize(
    ("name", "text", "key", "value"),
    [
        ("OLLAMA_HOST", "0.0.0.0:11434", "ollama.host", "0.0.0.0:11434"),
        ("OLLAMA_TIMEOUT", "90", "ollama.timeout", "1m30s"),
        ("QUEUE_MAX_WORKERS", " 8 ", "queue.max_workers", "8"),
        ("QUEUE_CLEANUP_INTERVAL", "10m", "queue.cleanup_interval", "10m"),
        ("RETRY_MAX_RETRIES", "0", "retry_config.max_retries", "0"),
        ("RETRY_BACKOFF_FACTOR", "3", "retry_config.backoff_factor", "3.0"),
        ("RETRY_JITTER", "false", "retry_config.jitter", "false"),
        ("SCHEDULER_BATCH_SIZE", "1", "scheduler.batch_size", "1"),
        ("LOG_LEVEL", "DEBUG", "logging.level", "debug"),
        ("LOG_FORMAT", "json", "logging.format", "json"),
        ("OQ_SERVER_PORT", "80", "server.port", "80"),
        ("OQ_SERVER_ALLOWED_HOSTS", "a, b", "server.allowed_hosts", "a, b"),
        ("OQ_EVENTS_RING", "5", "events.ring", "5"),
        (
            "OLLAMA_ORIGINS",
            "chrome-extension://*, http://a.example,",
            "gateway.allowed_origins",
            "chrome-extension://*, http://a.example",
        ),
        ("OLLAMA_ORIGINS", "'*'", "gateway.allowed_origins", "*"),
        ("OQ_GATEWAY_ALLOWED_ORIGINS", "*", "gateway.allowed_origins", "*"),
        ("OQ_SERVER_ALLOWED_ORIGINS", "http://*.a", "server.allowed_origins", "http://*.a"),
    ],
)
def test_variables(name, text, key, value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = load_settings(environ={name: text})
    assert (key, value, name) in set(settings.rows())


def test_the_variable_of_oq_stands_over_that_of_ollama():
    given = {
        "OQ_GATEWAY_ALLOWED_ORIGINS": "http://oq.example",
        "OLLAMA_ORIGINS": "http://o.example",
    }
    assert load_settings(environ=given).config.gateway.allowed_origins == ("http://oq.example",)


def test_an_empty_variable_is_not_set(write):
    write("queue: {max_workers: 2}\n")
    settings = load_settings(environ={"QUEUE_MAX_WORKERS": ""})
    assert settings.config.queue.max_workers == 2


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("QUEUE_MAX_WORKERS", "four", "QUEUE_MAX_WORKERS: queue.max_workers: expected int"),
        ("QUEUE_MAX_WORKERS", "-1", "QUEUE_MAX_WORKERS: queue.max_workers: expected int >= 1"),
        ("OLLAMA_TIMEOUT", "x", "OLLAMA_TIMEOUT: ollama.timeout: 'x' is not a duration"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL: logging.level: 'loud' is none of debug, info"),
        (
            "OLLAMA_ORIGINS",
            "http://a.example,a.example",
            "OLLAMA_ORIGINS: gateway.allowed_origins[1]: 'a.example' has no scheme",
        ),
    ],
)
def test_a_bad_variable_is_named(name, text, message, write):
    assert refusal("", write, {name: text}).startswith(message)


def test_a_bad_flag_is_named(write):
    message = refusal("queue: {max_workers: 1}", write, flags={"queue.max_workers": 0})
    assert message == "command line: queue.max_workers: expected int >= 1, not 0"


def test_every_setting_but_the_backends_has_a_variable(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keys = [key for key, _, _ in load_settings().rows()]
    assert [key for key in keys if variable(key) is None] == ["backends"]


def test_rows_show_no_secret(write):
    write("backends:\n - {name: a, kind: openai, url: x, api_key: topsecret}\n")
    rows = list(load_settings().rows())
    assert ("backends[0].api_key", "***", "config.yaml:2") in rows
    assert "topsecret" not in str(rows)


def test_the_gateways_lists_keep_their_lines(write):
    write(
        "gateway:\n"
        "  listen: [{port: 7126, priority: low}]\n"
        "  priorities:\n"
        "    - {path: /api/embed, priority: 3}\n"
    )
    settings = load_settings()
    assert settings.config.gateway.listen[0].port == 7126
    assert settings.config.gateway.priorities[0].priority == 3
    assert settings.origins["gateway.priorities[0].path"] == "config.yaml:4"
    shown = {key: value for key, value, _ in settings.rows()}
    assert shown["gateway.listen[0].priority"] == "low"


def test_the_priority_of_a_path_that_is_no_call_is_an_error_in_its_line(write):
    write("gateway:\n  priorities:\n    - {path: /api/embed, priority: 3}\n"
          "    - {path: /api/tags, priority: 1}\n")  # fmt: skip
    with pytest.raises(InvalidConfig, match=r"config.yaml:4: gateway.*\[1\].path: '/api/tags"):
        load_settings()


def test_a_variable_sets_what_is_no_list_of_sections(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    environ = {"OQ_GATEWAY_ALLOW_ADMIN": "true", "OQ_GATEWAY_PRIORITY": "critical"}
    gateway = load_settings(environ=environ).config.gateway
    assert gateway.allow_admin is True
    assert gateway.priority == "critical"
    assert load_settings(environ={"OQ_GATEWAY_PRIORITY": "7"}).config.gateway.priority == "7"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *(
            (f"queue: {{}}\nserver:\n  {key}: {value}\n", f"config.yaml:3: server.{key}: {reason}")
            for key, value, reason in (
                ("port", "1:1:1", "'1:1:1' can be read as more than one number"),
                ("port", "01234", "'01234' can be read as more than one number"),
                ("port", "0x10", "'0x10' can be read as more than one number"),
                ("port", "0b11", "'0b11' can be read as more than one number"),
                ("port", "0o17", "expected int, not '0o17'"),
                ("port", "1_000", "'1_000' can be read as more than one number"),
                ("port", "9" * 5000, "'9999"),
                ("port", "0x" + "f" * 9000, "'0xffff"),
                ("port", "!!int abc", "'abc' can be read as more than one number"),
                ("port", "2026-01-01", "'2026-01-01' means something else in YAML"),
                (
                    "host",
                    "2026-01-01",
                    "'2026-01-01' means something else in YAML; put it in quotes",
                ),
                ("host", "2026-13-45", "'2026-13-45' means something else in YAML"),
                ("host", "!!timestamp x", "'x' means something else in YAML"),
                ("host", "!!binary aGk=", "'aGk=' has the tag binary"),
                ("host", "!!bool maybe", "'maybe' is neither true nor false"),
                ("host", "yes", "expected str, not True"),
                ("host", "=", "'=' means something else in YAML"),
                ("host", "<<", "'<<' means something else in YAML"),
                ("host", '"a\\0b"', r"'a\x00b' has the character '\x00'"),
                ("host", '"a\\nb"', r"'a\nb' has the character '\n'"),
                ("host", '"\\ud800"', r"'\ud800' has the character '\ud800'"),
                ("max_wait", "1:30", "'1:30' can be read as more than one number"),
                ("max_wait", ".inf", "inf is not between 0 and ten years"),
                ("max_wait", ".nan", "nan is not between 0 and ten years"),
                ("<<", "{port: 1}", "unknown key"),
                ("1", "2", "unknown key"),
            )
        ),
        ("1: 2\n", "config.yaml:1: 1: unknown key"),
        ("? [a]\n: 2\n", "config.yaml:1: expected a name before the colon"),
        ("queue: {}\nqueue: {}\n", "config.yaml:2: queue: given twice, first on line 1"),
        ("queue: {}\nserver:\n  host: a\0b\n", "config.yaml:3: this is not YAML: the character"),
        (
            b"queue: {}\nserver:\n  host: \xff\n",
            "config.yaml:3: this is not YAML: the byte 0xff is",
        ),
        (
            "queue: {}\n".encode("utf-16-be"),
            r"config.yaml:1: this is not YAML: the character '\x00'",
        ),
        ("queue: {}\n".encode("utf-32"), r"config.yaml:1: this is not YAML"),
        ("a: b\n" * 100_000, "config.yaml: the file is larger than 262144 bytes"),
        ("{" * 700, "config.yaml: this is nested too deeply"),
    ],
)
def test_what_yaml_reads_otherwise_than_people_is_refused_by_key_and_line(text, message, write):
    assert refusal(text, write).startswith(message)


def test_what_people_mean_is_read(write):
    write(
        "queue: {max_workers: +3}\n"
        + "retry_config: {jitter: off, backoff_factor: 1.5e+0}\n"
        + "ollama: {host: &host 'http://a', timeout: 90}\nserver: {host: *host}\n"
    )
    config = load_settings().config
    assert config.queue.max_workers == 3
    assert config.retry_config.jitter is False
    assert config.retry_config.backoff_factor == 1.5
    assert config.ollama.timeout == 90
    assert config.server.host == "http://a"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_file_with_a_byte_order_mark_is_read(encoding, write):
    write("queue: {max_workers: 3}\n".encode(encoding))
    assert load_settings().config.queue.max_workers == 3


@pytest.mark.parametrize(
    ("path", "reason"), [("", "Is a directory"), ("a\0b", "embedded null byte")]
)
def test_a_path_that_is_no_file_is_named(path, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidConfig, match=f"cannot read .*: {reason}"):
        load_settings(path)


def test_a_key_of_a_backend_is_not_shown_in_an_error(write):
    text = "backends:\n - {name: a, kind: openai, url: 'http://x', api_key: 2026-02-31}\n"
    assert refusal(text, write).startswith("config.yaml:2: backends[0].api_key: *** means")


@pytest.mark.parametrize(
    ("given", "level"),
    [
        ("warn", "warning"),
        ("WARN", "warning"),
        ("Warning", "warning"),
        ("30", "warning"),
        ("trace", "debug"),
        ("VERBOSE", "debug"),
        ("Information", "info"),
        ("20", "info"),
        ("FATAL", "error"),
        ("critical", "error"),
    ],
)
def test_levels_have_many_names(given, level, write):
    write("")
    assert load_settings(environ={"LOG_LEVEL": given}).config.logging.level == level
    write(f"logging: {{level: '{given.lower()}'}}\n")
    assert load_settings().config.logging.level == level


def test_another_programs_variables_do_not_stop_a_client(write, monkeypatch):
    write("server: {port: 1234}\n")
    for name in ("LOG_LEVEL", "LOG_FORMAT", "QUEUE_MAX_WORKERS", "RETRY_MAX_RETRIES"):
        monkeypatch.setenv(name, "another program's")
    monkeypatch.delenv("OQ_SERVER", raising=False)
    assert server_address(None, None) == "http://127.0.0.1:1234"
    monkeypatch.setenv("OQ_SERVER_PORT", "4321")
    assert server_address(None, None) == "http://127.0.0.1:4321"
    with pytest.raises(InvalidConfig, match="LOG_LEVEL"):
        load_settings(environ={"LOG_LEVEL": "another program's"})


def test_what_has_no_effect_any_more_is_told():
    settings = load_settings(
        flags={"ollama.idle_timeout": "1s"}, environ={"OLLAMA_FIRST_TOKEN_TIMEOUT": "10m"}
    )
    first, second = settings.remarks
    assert first.startswith("OLLAMA_FIRST_TOKEN_TIMEOUT: ollama.first_token_timeout has no effect")
    assert second.startswith("command line: ollama.idle_timeout has no effect")
    assert "health.silence" in first
    assert settings.config.health.silence == 60


def test_what_has_no_effect_while_something_is_off_is_told(write):
    write("""\
scheduler: {max_bypass: 5s, max_preemptions: 2}
fairness:
  weights: [{tenant: a, weight: 2}]
backends:
 - {name: a, kind: simulated, overflow_after: 1s}
 - {name: b, kind: simulated, tier: 1, overflow_after: 1s}
""")
    assert load_settings().remarks == (
        "config.yaml:5: backends[0].overflow_after has no effect: no backend has a lower tier",
        "config.yaml:1: scheduler.max_bypass has no effect: scheduler.affinity is off",
        "config.yaml:1: scheduler.max_preemptions has no effect: scheduler.preempt is off",
        "config.yaml:3: fairness.weights has no effect: fairness.enabled is off",
    )
    write("scheduler: {affinity: true, max_bypass: 5s}\nfairness: {enabled: true, quantum: 9}\n")
    assert load_settings().remarks == ()


def test_a_reserve_and_a_backend_that_are_for_no_task_are_told(write):
    write("""\
scheduler:
  reserve: [{priority: high, slots: 1}, {priority: 0, slots: 2}]
backends:
 - {name: a, kind: simulated}
 - {name: b, kind: simulated, models: []}
""")
    reserve, models = load_settings().remarks
    assert reserve == (
        "config.yaml:2: scheduler.reserve[1].priority has no effect: no task has a lower priority"
    )
    assert models.startswith("config.yaml:5: backends[1].models is empty: no task is meant for 'b'")


def test_a_misspelt_variable_is_told():
    environ = {"OQ_SERVER_PRT": "1", "OQ_LOG_LEVEL": "debug", "OQ_ZZZ": "1", "OQ_SERVER": "x:1"}
    assert load_settings(environ=environ).remarks == (
        "OQ_LOG_LEVEL sets nothing; did you mean LOG_LEVEL?",
        "OQ_SERVER_PRT sets nothing; did you mean OQ_SERVER_PORT?",
        "OQ_ZZZ sets nothing",
    )


def test_what_kubernetes_says_of_a_service_is_no_setting():
    environ = {
        "OQ_SERVER_PORT": "tcp://10.0.0.1:7125",
        "OQ_SERVER_SERVICE_HOST": "10.0.0.1",
        "OQ_SERVER_SERVICE_PORT": "7125",
        "OQ_SERVER_PORT_7125_TCP": "tcp://10.0.0.1:7125",
        "OQ_SERVER_PORT_7125_TCP_ADDR": "10.0.0.1",
        "OQ_PORT": "tcp://10.0.0.1:7125",
    }
    settings = load_settings(environ=environ)
    assert settings.config.server.port == 7125
    assert not settings.origins
    assert not settings.remarks


MODELS = """\
backends:
  - {name: box, kind: ollama, url: "http://box:11434"}
  - {name: cloud, kind: openai, url: "https://api.openai.com", models: ["gpt-*", "o?"]}
"""


def test_a_backend_can_have_a_list_of_its_models(write):
    write(MODELS)
    settings = load_settings()
    assert [one.models for one in settings.config.backends] == [None, ("gpt-*", "o?")]
    shown = {key: value for key, value, _ in settings.rows()}
    assert shown["backends[1].models"] == "gpt-*, o?"


@pytest.mark.parametrize("wrong", ["", "gpt", "7", "{a: b}", "[[a]]", "['']", "[7]"])
def test_models_that_are_no_list_of_names(write, wrong):
    said = refusal(MODELS.replace('["gpt-*", "o?"]', wrong), write)
    assert "config.yaml:3" in said
    assert "backends[1].models" in said
