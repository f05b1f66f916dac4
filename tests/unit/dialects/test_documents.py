"""What oq reads of bodies that are forms, or compressed. Hostile ones cost little."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oq.dialects.documents import (
    ANY_RATIO,
    MAX_DOCUMENT,
    MAX_FIELD,
    MAX_GLANCE,
    MAX_PART_HEAD,
    MAX_PARTS,
    MAX_RATIO,
    glance_at,
    read_bounded,
    read_document,
)
from oq.dialects.inflating import MAX_MEMBERS, MAX_WINDOW, zstd
from oq.words.errors import PayloadTooLarge, Unavailable
from oq.words.head import Headers
from oq.words.task import Body
from tests.linear.growth import assert_linear

BODY = b'{"model": "m", "stream": true}'
FILE = bytes(range(256)) * 2000
SKIPPED = b"\x50\x2a\x4d\x18\x03\0\0\0abc"
"""A frame that says nothing (RFC 8878, 3.1.2)."""
DICTIONARY = zstd.ZstdDict(BODY * 2, is_raw=True)


def packed(body: bytes) -> bytes:
    """Compressed, with the same bytes at any time: they stand in the names of tests."""
    return gzip.compress(body, mtime=0)


def form(*parts: tuple[bytes, bytes], boundary: bytes = b"----f00") -> bytes:
    """A form of these parts: the rest of each one's disposition with more headers, its content."""
    texts = [
        b"--%b\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (boundary, head, content)
        for head, content in parts
    ]
    return b"".join(texts) + b"--" + boundary + b"--\r\n"


def field(name: bytes, text: bytes) -> tuple[bytes, bytes]:
    return b'name="%b"' % name, text


UPLOAD = (b'name="file"; filename="a b.wav"\r\nContent-Type: audio/wav', FILE)


def read(body: bytes, kind: bytes = b"multipart/form-data; boundary=----f00"):
    said = read_document(body, ((b"content-type", kind),))
    return json.loads(said) if said else None


def test_the_parts_of_a_form_are_read():
    said = read(form(field(b"model", b"m"), UPLOAD, field(b"stream", b"True")))
    file = {"filename": "a b.wav", "content_type": "audio/wav", "bytes": len(FILE)}
    assert said == {"model": "m", "file": file, "stream": True}


@pytest.mark.parametrize(
    ("kind", "boundary"),
    [
        (b'multipart/form-data; boundary="a b"', b"a b"),
        (b"Multipart/Form-Data;charset=utf-8;BOUNDARY=x", b"x"),
        (b"multipart/form-data; boundary=----WebKitFormBoundary7", b"----WebKitFormBoundary7"),
    ],
)
def test_a_boundary_may_be_written_in_any_way(kind, boundary):
    assert read(form(field(b"model", b"m"), boundary=boundary), kind) == {"model": "m"}


def test_a_name_that_comes_twice_has_a_list():
    said = read(form(field(b"image[]", b"a"), field(b"image[]", b"b"), (b"name=n", b"")))
    assert said == {"image[]": ["a", "b"], "n": ""}


def test_a_long_field_is_described():
    said = read(form(field(b"prompt", b"x" * (MAX_FIELD + 1)), field(b"model", b"m")))
    assert said == {"prompt": {"content_type": "", "bytes": MAX_FIELD + 1}, "model": "m"}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (form(field(b"model", b"m")), b"multipart/form-data"),
        (form(field(b"model", b"m")), b"multipart/form-data; boundary="),
    ],
)
def test_a_form_without_a_boundary_is_not_read(body, kind):
    assert read(body, kind) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"------f00",
        b"------f00--\r\n",
        b"------f00\r\n" * 5,
        b'------f00\r\nContent-Disposition: form-data; name="model"\r\n\r\nm',  # it is cut off
        b"------f00\r\nX: " + b"x" * MAX_PART_HEAD + b"\r\n\r\nm\r\n------f00--",
        b'------f00\r\nContent-Disposition: attachment; name="model"\r\n\r\nm\r\n------f00--',
    ],
)
def test_what_is_no_part_is_passed_over(body):
    assert read(body) == {}


def test_a_form_within_a_form_is_a_text():
    inner = form(field(b"model", b"evil"), boundary=b"in")
    assert read(form(field(b"a", inner), field(b"model", b"m"))) == {
        "a": inner.decode(),
        "model": "m",
    }


def test_of_many_parts_only_some_are_read():
    body = form(*[field(b"%d" % number, b"") for number in range(MAX_PARTS + 10)])
    assert len(read(body)) == MAX_PARTS


@given(noise=st.binary(max_size=200))
def test_noise_is_read_as_something_or_nothing(noise):
    for kind in (b"multipart/form-data; boundary=----f00", b"multipart/form-data; boundary=-"):
        assert isinstance(read(form(field(b"a", noise)) + noise, kind), dict)
    for encoding in (b"gzip", b"deflate", b"zstd", b"br"):
        assert isinstance(read_document(noise, ((b"content-encoding", encoding),)), bytes)


@pytest.mark.parametrize(
    "unit",
    [b"------f00", b"\r\n------f00", b"\r\n\r\n", b"------f00\r\n\r\n", b"\r\n", b"-", b'; name="',
     b'\r\n------f00\r\nContent-Disposition: form-data; name="a'],
)  # fmt: skip
def test_a_form_takes_linear_time(unit):
    assert_linear(lambda size: unit * (size // len(unit)), lambda body: read(form() + body))


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (b"gzip", packed(BODY)),
        (b"GZIP", packed(BODY[:9]) + packed(BODY[9:])),
        (b"deflate", zlib.compress(BODY)),
        (b"zstd", zstd.compress(BODY)),
        (b" ZSTD", zstd.compress(BODY[:9]) + SKIPPED + zstd.compress(BODY[9:])),
        (b"identity", BODY),
    ],
)
def test_a_compressed_body_is_read(encoding, body):
    assert read_document(body, ((b"content-encoding", encoding),)) == BODY


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (b"gzip", BODY),
        (b"gzip", packed(BODY)[:-9]),
        (b"gzip", packed(BODY) + b"more"),
        (b"gzip", packed(b"") * (MAX_MEMBERS + 1)),
        (b"zstd", b""),
        (b"zstd", BODY),
        (b"zstd", zstd.compress(BODY)[:-1]),
        (b"zstd", zstd.compress(BODY) + b"more"),
        (b"zstd", zstd.compress(b"") * (MAX_MEMBERS + 1)),
        (b"zstd", zstd.compress(BODY, zstd_dict=DICTIONARY)),
        (b"gzip, gzip", packed(packed(BODY))),
        (b"compress", BODY),
    ],
)
def test_what_cannot_be_read_is_empty(encoding, body):
    assert read_document(body, ((b"content-encoding", encoding),)) == b""


GZIP = ((b"content-encoding", b"gzip"),)
ZSTD = ((b"content-encoding", b"zstd"),)
WAYS = pytest.mark.parametrize(
    ("pack", "headers"), [(packed, GZIP), (zstd.compress, ZSTD)], ids=["gzip", "zstd"]
)


@WAYS
@pytest.mark.parametrize("size", [0, 1, 65_536, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 4 << 20])
@pytest.mark.parametrize("unit", [b"\0", random.Random(1).randbytes(100_003)], ids=["0", "drawn"])
def test_a_body_is_inflated_piece_by_piece_to_its_last_byte(unit, size, pack, headers):
    text = (unit * (size // len(unit) + 1))[:size]
    pieces: list[int] = []
    assert read_bounded(pack(text), headers, size, pieces.append) == text
    assert sum(pieces) == size
    assert max(pieces, default=0) <= 1 << 20
    members = pack(text) + pack(b"") + pack(text)
    assert read_bounded(members, headers, 2 * size) == 2 * text
    assert read_bounded(members[:-1], headers, 2 * size) == b""


@WAYS
def test_a_bomb_is_too_large(pack, headers):
    bomb = pack(b"\0" * 2_000_000)
    with pytest.raises(PayloadTooLarge, match=r"1999999 bytes; raise queue\.max_payload"):
        read_bounded(bomb, headers, 1_999_999)
    assert len(read_bounded(bomb, headers, 2_000_000)) == 2_000_000


@WAYS
def test_what_is_far_larger_than_its_compressed_form_is_refused(pack, headers):
    inside, beyond = pack(b"\0" * ANY_RATIO), pack(b"\0" * (ANY_RATIO + 1))
    assert len(read_bounded(inside, headers, MAX_DOCUMENT)) == ANY_RATIO
    pieces: list[int] = []
    with pytest.raises(PayloadTooLarge, match="more than 100 times its size"):
        read_bounded(beyond, headers, MAX_DOCUMENT, pieces.append)
    assert sum(pieces) <= ANY_RATIO
    assert read_document(beyond, headers) == b""
    dense = random.Random(2).randbytes(200_000) + b"\0" * (2 * ANY_RATIO)
    assert len(pack(dense)) * MAX_RATIO > len(dense)
    assert read_document(pack(dense), headers) == dense


def test_zstd_that_takes_much_memory_is_not_read():
    """What may be read again of what was read: 8 MiB, as in Ollama."""
    window = int(zstd.CompressionParameter.window_log)
    noise = random.Random(6).randbytes(100_000) * 100
    for power, read in ((MAX_WINDOW, noise), (MAX_WINDOW + 1, b"")):
        packer = zstd.ZstdCompressor(options={window: power})
        body = packer.compress(noise) + packer.flush()
        assert read_bounded(body, ZSTD, MAX_DOCUMENT) == read


def test_no_more_is_inflated_than_is_granted():
    def refuse(_size: int) -> None:
        raise Unavailable("full")

    with pytest.raises(Unavailable):
        read_bounded(packed(b"\0" * 5_000_000), GZIP, MAX_DOCUMENT, refuse)


@WAYS
@pytest.mark.parametrize("unit", [b"\0", b'{"a":[1]},', random.Random(3).randbytes(1000)])
def test_to_inflate_takes_linear_time(unit, pack, headers):
    read = partial(read_bounded, headers=headers, limit=MAX_DOCUMENT)
    assert_linear(lambda size: pack(unit * (100 * size // len(unit))), lambda body: len(read(body)))


def test_a_glance_is_at_small_bodies_only():
    def glance(body: bytes, headers: Headers = GZIP) -> bytes:
        return glance_at(Body(body, call="/api/chat", headers=headers))

    drawn = random.Random(4).randbytes(MAX_GLANCE)
    assert glance(packed(BODY)) == BODY
    assert glance(packed(b"\0" * MAX_GLANCE)) == b"\0" * MAX_GLANCE
    assert glance(packed(b"\0" * (MAX_GLANCE + 1))) == b""
    assert glance(packed(drawn)) == b""
    assert glance(drawn * 2, headers=()) == drawn * 2
    assert glance_at(Body(drawn * 2)) == drawn * 2


def test_a_form_may_be_compressed():
    headers = (
        (b"content-type", b"multipart/form-data; boundary=----f00"),
        (b"content-encoding", b"gzip"),
    )
    assert read_document(packed(form(field(b"model", b"m"))), headers) == b'{"model":"m"}'
