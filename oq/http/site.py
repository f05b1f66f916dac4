"""The dashboard as `make page` builds it: a page, and files that have their hash in the name.

They are read and compressed in a thread and then kept, all of one build at once: there are a few
dozen of them, and a page is no use without the files that it names. Who asks for the page, or for a
file that is not known, makes oq see whether there is another build by now. While one is being made,
the page that was known goes on.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import trio
from quart_trio.wrappers import TrioResponse as Response
from werkzeug.datastructures import Accept
from werkzeug.http import parse_accept_header

from oq.http.request import Request

BUILT = Path(__file__).parent / "static"
"""Where the build goes; in a wheel it is there already."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:;"
    " media-src 'self' data:;"
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


_Listing = dict[Path, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class _File:
    """A file in memory. `zipped` is None where that would not be smaller."""

    plain: bytes
    zipped: bytes | None
    tag: str
    content_type: str


class Site:
    """The files of a build; of none, while `directory` holds none."""

    def __init__(self, directory: Path = BUILT) -> None:
        self._directory = directory
        self._seen: _Listing = {}
        self._page: _File | None = None
        self._assets: dict[str, _File] = {}
        self._looking = trio.Lock()

    async def page(self, request: Request) -> Response | None:
        """The page itself; None if there is none."""
        await self._look()
        return None if self._page is None else _answer(request, self._page, _PAGE)

    async def asset(self, request: Request, name: str) -> Response | None:
        """One of its files; None if it is none."""
        if name not in self._assets:
            await self._look()
        file = self._assets.get(name)
        return None if file is None else _answer(request, file, _ASSET)

    async def _look(self) -> None:
        """Take what is there now, unless it is the same as before or not a whole build."""
        async with self._looking:  # so that however many ask, one thread looks
            found = await trio.to_thread.run_sync(_read, self._directory, self._seen)
            if found is not None:
                self._seen, self._page, self._assets = found


def _read(directory: Path, seen: _Listing) -> tuple[_Listing, _File, dict[str, _File]] | None:
    """The build that is there; None if it is the one that was seen, or is just being written."""
    page, assets = directory / "index.html", directory / "assets"
    try:
        listing = _list([page, *assets.glob("*")])
        if page not in listing or listing == seen:
            return None
        files = {path: _load(path) for path in listing}
        if _list([page, *assets.glob("*")]) != listing:
            return None
    except FileNotFoundError:  # removed since it was listed
        return None
    return listing, files.pop(page), {path.name: file for path, file in files.items()}


def _list(paths: Iterable[Path]) -> _Listing:
    """The files among them, each with what changes when it is written."""
    found = ((path, path.stat()) for path in paths if path.is_file())
    return {path: (stat.st_mtime_ns, stat.st_size) for path, stat in found}


def _load(path: Path) -> _File:
    plain = path.read_bytes()
    zipped = None if path.suffix in _PACKED else gzip.compress(plain, mtime=0)
    if zipped is not None and len(zipped) >= len(plain):
        zipped = None
    tag = f'W/"{sha256(plain).hexdigest()[:32]}"'  # weak: it is that of both codings
    return _File(plain, zipped, tag, _TYPES.get(path.suffix, _OTHER))


def _answer(request: Request, file: _File, headers: dict[str, str]) -> Response:
    headers = {**headers, "ETag": file.tag}
    if file.tag in (request.header(b"if-none-match") or ""):
        return Response(b"", 304, headers)
    body = file.plain
    encodings = parse_accept_header(request.header(b"accept-encoding"), Accept)
    if file.zipped is not None and encodings.quality("gzip") > 0:
        headers["Content-Encoding"] = "gzip"
        body = file.zipped
    return Response(body, headers=headers, content_type=file.content_type)
