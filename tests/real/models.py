"""The models of these runs: SmolLM2-135M, under other names and with other metadata.

A server takes two files of the same bytes for one model. So each of these has a metadata value of
its own. A model for embeddings has the way of pooling in its metadata.
"""

from __future__ import annotations

import struct
from pathlib import Path

from oq.cli.demo.model import find_model

NAMES = ("a", "b", "c", "d")
EMBEDDING = "e"
_MEAN_POOLING = ("llama.pooling_type", 1)
_ALIGNMENT = 32
_UINT32, _STRING = 4, 8
"""The numbers of these types in a GGUF file."""
_COUNT_AT, _PAIRS_AT = 16, 24
"""Where a GGUF file has the number of its metadata pairs, and where these begin."""


def write_models(folder: Path) -> dict[str, Path]:
    """A file for each model in this folder. `oq.cli.demo.model.NoModel` if the model is missing."""
    original = find_model().read_bytes()
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: folder / f"{name}.gguf" for name in (*NAMES, EMBEDDING)}
    for name, file in files.items():
        numbers = [_MEAN_POOLING] if name == EMBEDDING else []
        file.write_bytes(_with_metadata(original, name, numbers))
    return files


def _with_metadata(gguf: bytes, name: str, numbers: list[tuple[str, int]]) -> bytes:
    """The file with a metadata value that is its own, and with these numbers.

    What is put in is as long as a multiple of the file's alignment. So the tensors stay where the
    file says that they are.
    """
    pairs = b"".join(_text(key) + struct.pack("<II", _UINT32, value) for key, value in numbers)
    copy = _text("oq.copy") + struct.pack("<I", _STRING)
    filled = -(len(pairs) + len(copy) + len(_text(name))) % _ALIGNMENT
    pairs += copy + _text(name + " " * filled)
    (count,) = struct.unpack_from("<Q", gguf, _COUNT_AT)
    head = gguf[:_COUNT_AT] + struct.pack("<Q", count + len(numbers) + 1)
    return head + pairs + gguf[_PAIRS_AT:]


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()
