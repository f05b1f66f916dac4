"""Settings: defaults that hold together, and an error that names the key for all that does not."""

from __future__ import annotations

import re

import pytest

from oq.words.config import BackendConfig, Config, to_config
from oq.words.errors import InvalidConfig


def test_nothing_said_is_the_defaults():
    assert to_config({}) == Config()
    assert to_config({"queue": {}, "retry_config": {}}) == Config()


def test_one_key_changes_nothing_else():
    config = to_config({"queue": {"max_workers": 8}})
    assert config.queue.max_workers == 8
    assert config.queue.storage_path == Config().queue.storage_path
    assert config.retry_config == Config().retry_config


@pytest.mark.parametrize(("value", "seconds"), [("1h30m", 5400), (90, 90), (0.5, 0.5), ("90", 90)])
def test_a_duration_is_go_s_or_seconds(value, seconds):
    assert to_config({"ollama": {"timeout": value}}).ollama.timeout == seconds


@pytest.mark.parametrize(
    ("values", "where", "why"),
    [
        ({"quue": {}}, "", "unknown field `quue`"),
        ({"queue": {"max_worker": 4}}, "queue", "unknown field `max_worker`"),
        ({"backends": [{"name": "a", "kind": "ollama", "uri": "x"}]}, "backends[0]", "`uri`"),
        ({"queue": None}, "queue", "Expected `object`"),
        ({"queue": [1]}, "queue", "Expected `object`"),
        ({"queue": {"max_workers": "4"}}, "queue.max_workers", "Expected `int`, got `str`"),
        ({"queue": {"max_workers": True}}, "queue.max_workers", "got `bool`"),
        ({"queue": {"max_workers": 0}}, "queue.max_workers", ">= 1"),
        ({"queue": {"max_workers": 10_001}}, "queue.max_workers", "<= 10000"),
        ({"queue": {"max_completed_tasks": -1}}, "queue.max_completed_tasks", ">= 0"),
        ({"queue": {"cleanup_interval": "often"}}, "queue.cleanup_interval", "'often'"),
        ({"queue": {"drain_timeout": -1}}, "queue.drain_timeout", "ten years"),
        ({"queue": {"max_payload": 1}}, "queue.max_payload", ">= 1024"),
        ({"retry_config": {"backoff_factor": 0.5}}, "retry_config.backoff_factor", ">= 1"),
        ({"retry_config": {"backoff_factor": float("nan")}}, "retry_config.backoff_factor", ">= 1"),
        ({"retry_config": {"jitter": "yes"}}, "retry_config.jitter", "Expected `bool`"),
        ({"logging": {"level": "loud"}}, "logging.level", "'loud'"),
        ({"server": {"port": 65536}}, "server.port", "<= 65535"),
        ({"server": {"allowed_hosts": "oq.local"}}, "server.allowed_hosts", "Expected `array`"),
        ({"backends": [{"name": "a"}]}, "backends[0]", "`kind`"),
        ({"backends": [{"name": "a", "kind": "gpt"}]}, "backends[0].kind", "'gpt'"),
    ],
)
def test_what_cannot_be_is_named_by_its_key(values, where, why):
    with pytest.raises(InvalidConfig) as caught:
        to_config(values)
    assert str(caught.value).startswith(f"{where}: " if where else "Object")
    assert why in str(caught.value)


@pytest.mark.parametrize(
    "key",
    [
        "ollama.timeout",
        "ollama.connect_timeout",
        "health.silence",
        "queue.cleanup_interval",
        "queue.probe_interval",
    ],
)
def test_no_time_at_all_is_refused_where_nothing_could_work_with_it(key):
    section, name = key.split(".")
    with pytest.raises(InvalidConfig, match=rf"^{key}: must be more than 0$"):
        to_config({section: {name: "0s"}})
    assert to_config({section: {name: "1ms"}}) != Config()


def test_no_time_at_all_is_fine_where_it_means_at_once():
    to_config(
        {
            "queue": {"drain_timeout": 0},
            "retry_config": {"initial_delay": 0, "max_delay": 0},
            "server": {"max_wait": 0},
        }
    )


@pytest.mark.parametrize("url", ["http://me:hunter2@gpu:11434", "me:hunter2@gpu:11434", "me@gpu"])
def test_a_user_in_a_url_is_refused_and_not_shown(url):
    for values, key in [
        ({"ollama": {"host": url}}, "ollama.host"),
        ({"backends": [{"name": "a", "kind": "openai", "url": url}]}, "backends[0].url"),
    ]:
        with pytest.raises(InvalidConfig) as caught:
            to_config(values)
        assert (
            str(caught.value)
            == f"{key}: it must not contain a user or password; use api_key instead"
        )


def test_a_longest_delay_below_the_first_is_refused():
    with pytest.raises(InvalidConfig, match=r"retry_config\.max_delay: 5 s is less than"):
        to_config({"retry_config": {"initial_delay": "10s", "max_delay": "5s"}})


@pytest.mark.parametrize(
    ("backend", "why"),
    [
        ({"name": "", "kind": "simulated"}, "is empty or used twice"),
        ({"name": "first", "kind": "simulated"}, "is empty or used twice"),
        ({"name": "second", "kind": "openai"}, "a backend of kind openai needs one"),
    ],
)
def test_backends_have_names_of_their_own_and_an_address(backend, why):
    first = {"name": "first", "kind": "ollama", "url": "http://localhost:11434"}
    with pytest.raises(InvalidConfig) as caught:
        to_config({"backends": [first, backend]})
    assert str(caught.value).startswith("backends[1].")
    assert why in str(caught.value)


def test_without_a_list_the_seeds_one_host_is_the_list():
    config = to_config({"ollama": {"host": "http://gpu:11434"}})
    alone = BackendConfig(name="ollama", kind="ollama", url="http://gpu:11434")
    assert config.backend_list() == (alone,)


def test_a_list_of_backends_is_in_the_order_of_preference():
    names = ["b", "a", "c"]
    config = to_config({"backends": [{"name": name, "kind": "simulated"} for name in names]})
    assert [backend.name for backend in config.backend_list()] == names


def limited(limits: object) -> dict[str, object]:
    first = {"name": "a", "kind": "simulated", "model_limits": {"x": 1}}
    return {"backends": [first, {"name": "b", "kind": "simulated", "model_limits": limits}]}


def test_a_backend_has_limits_for_its_models_in_order():
    limits = {"z:70b": 1, "a*": "auto", "*": 1000}
    backend = to_config(limited(limits)).backends[1]
    assert list(backend.model_limits.items()) == list(limits.items())
    assert BackendConfig(name="b", kind="simulated").model_limits == {}


@pytest.mark.parametrize("limit", [0, -1, 10**9 + 1, 1.5, True, None, "many", "4", [1], {"a": 1}])
def test_a_limit_of_a_model_that_is_no_number_is_named(limit):
    with pytest.raises(InvalidConfig) as caught:
        to_config(limited({"z:70b": 1, "q/b": limit}))
    assert str(caught.value) == (
        f"backends[1].model_limits.q/b: {limit!r} is no number of tasks;"
        " write one from 1 to 1000000000, or auto"
    )


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        ({"": 1}, "'' is no name of a model: one has 1 to 200 characters"),
        ({"x" * 201: 1}, "is no name of a model: one has 1 to 200 characters"),
        ({str(n): 1 for n in range(1001)}, "there are 1001; the most are 1000"),
        ([1], "Expected `object`, got `array`"),
        (3, "Expected `object`, got `int`"),
        ({3: 1}, "is no text; write it as one"),
        ({3: 0}, "is no text; write it as one"),
    ],
)
def test_limits_of_models_that_cannot_be(limits, why):
    with pytest.raises(InvalidConfig) as caught:
        to_config(limited(limits))
    assert "backends[1].model_limits" in str(caught.value)
    assert why in str(caught.value)


def test_more_retries_than_a_task_may_have_are_no_default_either():
    """Or each task that does not say would be refused for what its user never wrote."""
    with pytest.raises(InvalidConfig, match=r"retry_config\.max_retries"):
        to_config({"retry_config": {"max_retries": 1001}})


def test_a_number_that_no_float_holds_is_refused_like_the_others():
    with pytest.raises(InvalidConfig, match=r"ollama\.timeout"):
        to_config({"ollama": {"timeout": 10**400}})


@pytest.mark.parametrize(
    ("gateway", "key"),
    [
        ({"priority": "urgent"}, "gateway.priority"),
        ({"priority": 101}, "gateway.priority"),
        ({"timeout": 0}, "gateway.timeout"),
        ({"listen": [{"port": 7126, "priority": -1}]}, "gateway.listen[0].priority"),
        ({"listen": [{"port": 7125, "priority": 1}]}, "gateway.listen[0].port"),
        ({"listen": [{"port": 1, "priority": 1}] * 2}, "gateway.listen[1].port"),
        ({"priorities": [{"path": "/api/chat", "priority": ""}]}, "gateway.priorities[0].priority"),
    ],
)
def test_a_gateway_that_cannot_be(gateway, key):
    with pytest.raises(InvalidConfig, match=re.escape(key)):
        to_config({"gateway": gateway})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({1: {}}, "the key 1 is no text; write it as one: '1'"),
        ({"queue": {None: 1}}, "queue: the key None is no text; write it as one: 'None'"),
        (
            {"backends": [{"name": "a", "kind": "simulated", "model_limits": {2: 1}}]},
            "backends[0].model_limits: the key 2 is no text; write it as one: '2'",
        ),
        ([1], "[1] is no dict of sections, such as {'queue': {}}"),
    ],
)
def test_a_key_that_is_no_text_is_named(values, said):
    with pytest.raises(InvalidConfig) as caught:
        to_config(values)
    assert str(caught.value) == said


def test_a_value_that_contains_itself_is_refused():
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(InvalidConfig, match="queue"):
        to_config({"queue": endless})
