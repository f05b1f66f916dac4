"""Settings as ollama-queue writes them, and what is said of settings that can be used."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from oq.cli.config import config_
from oq.settings import load_settings
from oq.words.errors import InvalidConfig

FLAT = """\
ollama_host: http://box:1234
ollama_timeout: 5m0s
max_workers: 7
storage_path: ./there
cleanup_interval: 2h
max_completed_tasks: 50
batch_size: 3
scheduling_interval: 1s
log_level: debug
log_file: oq.log
listen_addr: localhost:8080
retry_config: {max_retries: 9}
"""


def loaded(tmp_path, text: str, environ: dict[str, str] | None = None):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return load_settings(str(path), {}, environ or {})


def test_flat_keys_are_read_each_with_a_remark(tmp_path):
    settings = loaded(tmp_path, FLAT)
    config = settings.config
    assert (config.ollama.host, config.ollama.timeout) == ("http://box:1234", 300)
    assert (config.queue.max_workers, config.queue.storage_path) == (7, "./there")
    assert (config.queue.cleanup_interval, config.queue.max_completed_tasks) == (7200, 50)
    assert (config.logging.level, config.logging.file) == ("debug", "oq.log")
    assert (config.server.host, config.server.port) == ("localhost", 8080)
    assert config.retry_config.max_retries == 9
    assert len(settings.remarks) == 11
    assert (
        "config.yaml:3: max_workers is an old name; write queue.max_workers" in settings.remarks[2]
    )
    assert settings.origins["queue.max_workers"].endswith("config.yaml:3")


def test_a_key_in_its_section_holds_and_so_does_the_environment(tmp_path):
    text = "max_workers: 7\nqueue: {max_workers: 5}\nstorage_path: ./a\n"
    settings = loaded(tmp_path, text, {"QUEUE_STORAGE_PATH": "./b"})
    assert (settings.config.queue.max_workers, settings.config.queue.storage_path) == (5, "./b")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("max_workers: none", "config.yaml:1: queue.max_workers: "),
        ("max_workers: 3\nmax_workers: 4", "config.yaml:2: max_workers: given twice"),
        ("listen_addr: here", "config.yaml:1: listen_addr: 'here' is not host:port"),
        ("max_worker: 3", "config.yaml:1: max_worker: unknown key"),
    ],
)
def test_a_flat_key_that_is_wrong_names_its_line(tmp_path, text, told):
    with pytest.raises(InvalidConfig) as raised:
        loaded(tmp_path, text)
    assert told in str(raised.value)


def test_an_address_of_ollama_that_is_not_used_is_said(tmp_path):
    text = "backends: [{name: b, kind: ollama, url: 'http://a:1'}]\n"
    [remark] = loaded(tmp_path, text, {"OLLAMA_HOST": "http://b:2"}).remarks
    place = tmp_path / "config.yaml"
    assert remark == (
        f"OLLAMA_HOST: ollama.host has no effect: the backends of {place}:1 stand instead"
    )
    assert loaded(tmp_path, "", {"OLLAMA_HOST": "http://b:2"}).remarks == ()


def test_a_check_counts_the_keys_that_were_set_and_makes_remarks(tmp_path, monkeypatch):
    for name in ("OQ_SIMULATED_DELAY", "OQ_SIMULATED_TOKENS_PER_SECOND", "OLLAMA_HOST"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "config.yaml"
    path.write_text("queue:\n  max_workers: 3\nlog_level: info\n")
    done = CliRunner().invoke(config_, ["check", "--config", str(path)], catch_exceptions=False)
    assert "good, 2 of the settings are set" in done.output
    assert "log_level is an old name; write logging.level" in done.output
