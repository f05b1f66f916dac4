"""Which tenant a task is of."""

from __future__ import annotations

import pytest

from oq.rules.tenants import tenant_of
from oq.words.config import to_config
from oq.words.task import MAX_TENANT


@pytest.mark.parametrize(
    ("metadata", "tenant"),
    [
        (b'{"tenant": "ann"}', "ann"),
        (b'{"a": {"tenant": "x"}, "tenant": "bob"}', "bob"),
        (b'{"tenant": 17}', "17"),
        (b'{"tenant": ""}', ""),
        (b'{"tenant": null}', ""),
        (b'{"tenant": ["a"]}', ""),
        (b'{"tenant": 1.5}', ""),
        (b'{"a": "tenant"}', ""),
        (b'["tenant"]', ""),
        (b"{}", ""),
        (None, ""),
    ],
)
def test_it_is_a_field_of_the_metadata(metadata, tenant):
    assert tenant_of(metadata, "tenant") == tenant


def test_the_settings_say_which_field():
    assert tenant_of(b'{"tenant": "ann", "team": "red"}', "team") == "red"


def test_where_nobody_asks_there_is_none():
    assert tenant_of(b'{"tenant": "ann"}', None) == ""


def test_a_name_is_bounded():
    assert tenant_of(b'{"tenant": "%s"}' % (b"x" * 500), "tenant") == "x" * MAX_TENANT


def test_the_field_is_found_however_json_writes_its_name():
    written = b'{"\\u00e9quipe":"ann"}'  # as Python's json.dumps does
    assert tenant_of(written, "équipe") == "ann"
    assert tenant_of(b'{"\\u0074enant":"ann"}', "tenant") == "ann"


def test_the_longest_name_of_a_tenant_can_have_a_weight():
    name = "a" * MAX_TENANT
    to_config({"fairness": {"weights": [{"tenant": name, "weight": 2}]}})
    assert tenant_of(b'{"tenant":"%s"}' % (name + "b").encode(), "tenant") == name
