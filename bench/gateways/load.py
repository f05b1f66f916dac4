"""Callers that cost little: one loop over epoll. `load` starts it; `python -m bench.gateways.load`
is the program that it starts, which answers each order, a line of JSON, with a line of JSON.

It looks itself at the processor time of what it calls (`bench.gateways.readings`), so that this is
of just the time in which it counts.
"""

from __future__ import annotations

import resource
import select
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from bench.children import Helper, helper
from bench.figures import percentile
from bench.gateways import readings
from bench.gateways.backend import NEXT
from bench.scenario import NotMeasured
from bench.stamper import STAMP
from bench.wire import Answer, KeptAlive, address, request

PIECE = 65536
PATIENCE = 30.0
"""Seconds that callers wait for answers at most."""
IN_TIME = 0.1
"""A chunk is in time if it is read within so many seconds after it was sent."""
LEAD = 2.0
"""Seconds that streams get to begin, all of them, before their chunks count."""
REST = 0.5
"""Seconds for which streams go on after that."""


class Target(msgspec.Struct, frozen=True):
    """A request, and who is asked."""

    url: str
    path: str
    body: str
    session: int
    """Whose processor time and memory are looked at: those of all processes of this session."""
    alone: bool = False
    """Or only those of the process with this id."""
    headers: dict[str, str] = {}

    def processes(self) -> list[int]:
        return [self.session] if self.alone else readings.processes(self.session)

    def bytes(self) -> bytes:
        """The request as it is sent."""
        plain = request(self.url, "POST", self.path, self.body.encode())
        more = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        line, mark, rest = plain.partition(b"\r\n")
        return line + mark + more.encode() + rest


class Calls(msgspec.Struct, frozen=True, tag="calls"):
    """On each of the connections one call after the other: for some time that does not count, and
    then for some that does, or until so many calls are answered.
    """

    target: Target
    connections: int
    seconds: float
    warm: float = 0.0
    calls: int = 0
    """0 means no limit."""


class Lone(msgspec.Struct, frozen=True, tag="lone"):
    """One call that does not count, and then so many, one after the other on one connection."""

    target: Target
    calls: int


class Paced(msgspec.Struct, frozen=True, tag="paced"):
    """A stream whose next chunk is sent when the one before has been read: so many of them. The
    backend at this URL sends them when it is told to.
    """

    target: Target
    backend: str
    chunks: int


class Streams(msgspec.Struct, frozen=True, tag="streams"):
    """So many calls at once, whose answers are streams. Counted is what the backend sends in
    `seconds` of the time, when all should have begun.
    """

    target: Target
    streams: int
    rate: float
    seconds: float
    lead: float = LEAD


class Firsts(msgspec.Struct, frozen=True, tag="firsts"):
    """One call at a time, to all targets in turns: how long until the first byte of the body?"""

    targets: list[Target]
    calls: int


class Callers(msgspec.Struct, frozen=True, tag="callers"):
    """Callers that make one call, and keep their connections."""

    target: Target
    count: int


class Found(msgspec.Struct, frozen=True):
    """What came of an order; `problem` says why nothing did."""

    problem: str = ""
    count: int = 0
    """Calls that were answered, or chunks that were read."""
    seconds: float = 0.0
    cpu: float = 0.0
    """Seconds of processor time of what was called."""
    resident: int = 0
    """Bytes of its memory at the end of the time that counts."""
    in_time: float = 0.0
    p99: float = 0.0
    """Of the chunks' delays, in milliseconds."""
    firsts: list[float] = []
    """Of each target the median time to the first byte, in milliseconds."""
    each: float = 0.0
    """Bytes of memory for each caller."""

    @property
    def rate(self) -> float:
        return self.count / self.seconds

    @property
    def cpu_each(self) -> float:
        """Seconds of processor time for each call, or chunk."""
        return self.cpu / max(self.count, 1)


Order = Calls | Lone | Paced | Streams | Firsts | Callers

_decode_order = msgspec.json.Decoder(Order).decode
_decode_found = msgspec.json.Decoder(Found).decode


class Load:
    """The process, as seen from here."""

    def __init__(self, process: Helper) -> None:
        self._process = process

    def do(self, order: Order) -> Found:
        """What came of it. It blocks. NotMeasured says why nothing did."""
        found = _decode_found(self._process.ask(msgspec.json.encode(order).decode()))
        if found.problem:
            raise NotMeasured(found.problem)
        return found


@contextmanager
def load() -> Iterator[Load]:
    """The program, until the block is left."""
    with helper("bench.gateways.load") as process:
        yield Load(process)


class Connection:
    """One of many to the same server, none of which blocks."""

    def __init__(self, where: tuple[str, int]) -> None:
        self._where = where
        self.answer = Answer()
        self.half = b""
        self.sock = self._connect()

    def _connect(self) -> socket.socket:
        sock = socket.create_connection(self._where, timeout=PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        return sock

    def ask(self, whole: bytes) -> None:
        """Send a request; it fits into the socket's buffer, for no other is under way."""
        self.answer, self.half = Answer(), b""
        if self.sock.send(whole) < len(whole):
            raise NotMeasured("a request did not fit into the socket's buffer")

    def again(self) -> None:
        self.sock.close()
        self.sock = self._connect()


class Crowd:
    """Connections to one server, and who of them has something to read."""

    def __init__(self, target: Target, count: int) -> None:
        self.whole = target.bytes()
        self._epoll = select.epoll()
        self._by_number: dict[int, Connection] = {}
        where = address(target.url)
        for _ in range(count):
            self._add(Connection(where))

    def close(self) -> None:
        for connection in self._by_number.values():
            connection.sock.close()
        self._epoll.close()

    def _add(self, connection: Connection) -> None:
        self._by_number[connection.sock.fileno()] = connection
        self._epoll.register(connection.sock.fileno(), select.EPOLLIN)

    def ask_all(self) -> None:
        for connection in self._by_number.values():
            connection.ask(self.whole)

    def renew(self, connection: Connection) -> None:
        """Connect again where the server has closed."""
        del self._by_number[connection.sock.fileno()]
        connection.again()
        self._add(connection)

    def readable(self, wait: float) -> list[tuple[Connection, bytes]]:
        """Connections and what they got; nothing, if that is so for so many seconds."""
        found = []
        for number, _ in self._epoll.poll(max(wait, 0.0)):
            connection = self._by_number[number]
            data = connection.sock.recv(PIECE)
            if not data:
                raise NotMeasured("the server closed the connection in the middle of an answer")
            found.append((connection, data))
        return found


@contextmanager
def _crowd(target: Target, count: int) -> Iterator[Crowd]:
    crowd = Crowd(target, count)
    try:
        yield crowd
    finally:
        crowd.close()


def _check(answer: Answer, target: Target) -> None:
    if answer.problem is not None:
        raise NotMeasured(f"POST {target.path}: {answer.problem}")


def _calls(order: Calls) -> Found:
    target, count = order.target, 0
    pids = target.processes()
    with _crowd(target, order.connections) as crowd:
        crowd.ask_all()

        def until(end: float) -> None:
            nonlocal count  # at least to the first answer, for which a busy machine takes longer
            silent = time.monotonic() + PATIENCE
            while not 0 < order.calls <= count:
                now = time.monotonic()
                if now >= end and count:
                    return
                for connection, data in crowd.readable((end if now < end else silent) - now):
                    silent = now + PATIENCE
                    answer = connection.answer
                    answer.feed(data)
                    if answer.done:
                        _check(answer, target)
                        count += 1
                        if answer.last:
                            crowd.renew(connection)
                        connection.ask(crowd.whole)
                if now > silent:
                    raise NotMeasured(f"POST {target.path}: no answer for {PATIENCE:g} s")

        until(time.monotonic() + order.warm)
        before, begun, count = readings.used(pids), time.monotonic(), 0
        until(begun + order.seconds)
        seconds = time.monotonic() - begun
        cpu = readings.between(before, readings.used(pids))
        return Found(count=count, seconds=seconds, cpu=cpu)


def _lone(order: Lone) -> Found:
    target, whole = order.target, order.target.bytes()
    pids = target.processes()
    with KeptAlive(target.url) as connection:
        _check(connection.ask(whole), target)
        before, begun = readings.used(pids), time.monotonic()
        for _ in range(order.calls):
            _check(connection.ask(whole), target)
        seconds = time.monotonic() - begun
        cpu = readings.between(before, readings.used(pids))
    return Found(count=order.calls, seconds=seconds, cpu=cpu)


def _paced(order: Paced) -> Found:
    target, pids = order.target, order.target.processes()
    onward = request(order.backend, "POST", NEXT)
    with KeptAlive(target.url) as reader, KeptAlive(order.backend) as backend:
        answer = reader.begin(target.bytes())
        _check(answer, target)

        def read(chunks: int) -> None:
            for _ in range(chunks):
                backend.ask(onward)
                answer.body = b""
                while STAMP.search(answer.body) is None:
                    reader.more(answer)

        read(1)
        before, begun = readings.used(pids), time.monotonic()
        read(order.chunks)
        seconds = time.monotonic() - begun
        cpu = readings.between(before, readings.used(pids))
        backend.ask(onward)  # the last, with which the stream ends
        reader.finish(answer)
    return Found(count=order.chunks, seconds=seconds, cpu=cpu)


def _streams(order: Streams) -> Found:
    target = order.target
    pids = target.processes()
    with _crowd(target, order.streams) as crowd:
        crowd.ask_all()
        begun = time.monotonic()
        delays, chunks, sent_in = [], 0, (0, 0)

        def until(end: float) -> None:
            nonlocal chunks
            low, high = sent_in
            while (wait := end - time.monotonic()) > 0:
                for connection, data in crowd.readable(wait):
                    now = time.monotonic_ns()
                    connection.answer.body = b""  # of the answer only its status is looked at
                    connection.answer.feed(data) if not connection.answer.status else None
                    if connection.answer.status:
                        _check(connection.answer, target)
                    lines, mark, connection.half = (connection.half + data).rpartition(b"\n")
                    for stamp in STAMP.findall(lines + mark):
                        chunks += 1
                        if low <= int(stamp) < high:
                            delays.append((now - int(stamp)) / 1e6)

        until(begun + order.lead)
        while not chunks and time.monotonic() < begun + PATIENCE:  # a busy machine takes longer
            until(time.monotonic() + IN_TIME)
        start = time.monotonic_ns()
        sent_in = (start, start + int(order.seconds * 1e9))
        before, chunks = readings.used(pids), 0
        until((start + order.seconds * 1e9) / 1e9)
        cpu = readings.between(before, readings.used(pids))
        seconds, count = (time.monotonic_ns() - start) / 1e9, chunks
        memory = readings.resident(pids)
        until(time.monotonic() + REST)
        if not count or not delays:
            raise NotMeasured(f"POST {target.path}: no chunk came in {order.seconds:g} s")
        due = order.streams * order.rate * order.seconds
        on_time = sum(delay <= IN_TIME * 1e3 for delay in delays)
        return Found(
            count=count,
            seconds=seconds,
            cpu=cpu,
            resident=memory,
            in_time=min(on_time / due, 1.0),
            p99=percentile(delays, 0.99),
        )


def _firsts(order: Firsts) -> Found:
    taken: list[list[float]] = [[] for _ in order.targets]
    connections = [KeptAlive(target.url) for target in order.targets]
    try:
        for _ in range(order.calls):
            for target, connection, times in zip(order.targets, connections, taken, strict=True):
                begun = time.perf_counter()
                answer = connection.begin(target.bytes())
                times.append((time.perf_counter() - begun) * 1e3)
                connection.finish(answer)
                _check(answer, target)
    finally:
        for connection in connections:
            connection.close()
    return Found(count=order.calls, firsts=[percentile(times, 0.5) for times in taken])


def _callers(order: Callers) -> Found:
    """What the calls themselves leave in memory is known by as many of them on one connection."""
    target, whole = order.target, order.target.bytes()
    pids = target.processes()

    def ask(connection: KeptAlive) -> None:
        _check(connection.ask(whole), target)

    with KeptAlive(target.url) as one:
        for _ in range(order.count):
            ask(one)
        before = readings.resident(pids)
        for _ in range(order.count):
            ask(one)
        between = readings.resident(pids)
    callers: list[KeptAlive] = []
    try:
        for _ in range(order.count):
            callers.append(KeptAlive(target.url))
            ask(callers[-1])
        after = readings.resident(pids)
    finally:
        for caller in callers:
            caller.close()
    grown = (after - between) - (between - before)
    return Found(count=order.count, resident=after, each=max(grown, 0) / order.count)


_HANDLERS: dict[type, Callable[..., Found]] = {
    Calls: _calls,
    Lone: _lone,
    Paced: _paced,
    Streams: _streams,
    Firsts: _firsts,
    Callers: _callers,
}


def _done(line: bytes) -> Found:
    try:
        order = _decode_order(line)
        return _HANDLERS[type(order)](order)
    except (NotMeasured, OSError, LookupError) as error:
        return Found(problem=f"{error}" or type(error).__name__)


def main() -> int:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(msgspec.json.encode(_done(line)) + b"\n")
        sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
