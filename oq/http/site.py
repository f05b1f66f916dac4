"""The dashboard as `make page` builds it: a page, and files that have their hash in the name.

They are read and compressed when they are first asked for, in a thread, and then kept: there are a
few dozen of them. What is not in the list that was made at the start does not exist.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import trio
from quart.wrappers import Request
from quart_trio.wrappers import TrioResponse as Response

BUILT = Path(__file__).parent / "static"
"""Where the build goes; in a wheel it is there already."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:;"
    " connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'"
)
"""The page's Content-Security-Policy: nothing but its own files, and no script in the markup."""

_PAGE = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-cache",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Vary": "Accept, Accept-Encoding",
}
_ASSET = {
    "Cache-Control": "public, max-age=31536000, immutable",  # another content has another name
    "Vary": "Accept-Encoding",
}
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}
_OTHER = "application/octet-stream"
_PACKED = frozenset({".ico", ".png", ".woff2"})
"""What does not get smaller."""


@dataclass(frozen=True, slots=True)
class _File:
    """A file in memory. `zipped` is None where that would not be smaller."""

    plain: bytes
    zipped: bytes | None
    tag: str
    content_type: str


class Site:
    """The files of a build; of none, when `directory` holds none."""

    def __init__(self, directory: Path = BUILT) -> None:
        page, assets = directory / "index.html", directory / "assets"
        self._page = page if page.is_file() else None
        self._assets = {path.name: path for path in assets.glob("*") if path.is_file()}
        self._files: dict[Path, _File] = {}

    @property
    def built(self) -> bool:
        return self._page is not None

    async def page(self, request: Request) -> Response:
        """The page itself. Only to be called when there is one."""
        assert self._page is not None, "there is no page"
        return _answer(request, await self._file(self._page), _PAGE)

    async def asset(self, request: Request, name: str) -> Response | None:
        """One of its files; None if it is none."""
        path = self._assets.get(name)
        return None if path is None else _answer(request, await self._file(path), _ASSET)

    async def _file(self, path: Path) -> _File:
        file = self._files.get(path)
        if file is None:
            file = self._files[path] = await trio.to_thread.run_sync(_load, path)
        return file


def _load(path: Path) -> _File:
    plain = path.read_bytes()
    zipped = None if path.suffix in _PACKED else gzip.compress(plain, mtime=0)
    if zipped is not None and len(zipped) >= len(plain):
        zipped = None
    tag = f'W/"{sha256(plain).hexdigest()[:32]}"'  # weak: it is that of both codings
    return _File(plain, zipped, tag, _TYPES.get(path.suffix, _OTHER))


def _answer(request: Request, file: _File, headers: dict[str, str]) -> Response:
    headers = {**headers, "ETag": file.tag}
    if file.tag in request.headers.get("If-None-Match", ""):
        return Response(b"", 304, headers)
    body = file.plain
    if file.zipped is not None and request.accept_encodings.quality("gzip") > 0:
        headers["Content-Encoding"] = "gzip"
        body = file.zipped
    return Response(body, headers=headers, content_type=file.content_type)
