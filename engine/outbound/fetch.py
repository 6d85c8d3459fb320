"""The one way out to an address that a tenant typed: its name is looked up once, and what was checked is connected to.

Against server-side request forgery (DESIGN §3.12): https only, public addresses only, no redirects, no proxy from the
environment, an answer bounded in size and time. A name is not asked for twice, so it cannot answer otherwise the second
time (DNS rebinding); and one private address among several refuses them all.
"""

import asyncio
import functools
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httpcore

from engine.outbound.addresses import is_loopback, is_public, written
from engine.outbound.errors import AddressRefused, NoAnswer

TIMEOUT_S = 10.0
MOST_BYTES = 256 * 1024
AT_ONCE = 16
"""So many requests of this process are under way; the others wait, so that slow answers do not pile up."""

# UnicodeError: what no name on the net can be, such as an empty label.
_FAILURES = (
    TimeoutError,
    OSError,
    UnicodeError,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
)
# Threads of their own: a name server that never answers must not keep passwords from being hashed. A look-up cannot be
# called off, and goes on when its request has long been given up; so there are more of them than requests.
_names = ThreadPoolExecutor(3 * AT_ONCE, "names")
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side said; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a name, as the system knows them; raises OSError when there are none."""
    asking = functools.partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_names, asking)
    return [str(address[0]) for *_, address in found]


class Outbound:
    """Fetches from addresses that tenants typed. ``may_loop_back``: development only, this machine and http too."""

    def __init__(
        self, *, may_loop_back: bool = False, resolve: Resolve = resolve, trust: ssl.SSLContext | None = None
    ) -> None:
        self._may_loop_back = may_loop_back
        self._resolve = resolve
        self._trust = trust or ssl.create_default_context()
        self._at_once = asyncio.Semaphore(AT_ONCE)

    def check(self, url: str) -> SplitResult:
        """The parts of a URL that may be asked, as far as its text tells: an address that is written out is judged, a
        name is when it is asked for. Raises AddressRefused."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise AddressRefused from None
        is_plain = url.isascii() and url.isprintable() and " " not in url and "\\" not in url and len(url) <= 2_000
        schemes = ("https", "http") if self._may_loop_back else ("https",)
        if not is_plain or parts.scheme not in schemes or not parts.hostname or "@" in parts.netloc or parts.fragment:
            raise AddressRefused
        if port is not None and port != 443 and port < 1_024:  # mail, SSH and the like are no web servers
            raise AddressRefused
        address = written(parts.hostname)
        if address is not None and not self._may(address, is_plain=parts.scheme == "http"):
            said = f"{parts.hostname} is not on the public internet, and the platform connects to nothing else."
            raise AddressRefused(said)
        return parts

    async def fetch(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        most_bytes: int = MOST_BYTES,
    ) -> Answer:
        """One request and its whole answer, whatever its status; a redirect is an answer like any other.

        Raises AddressRefused, and NoAnswer for what is too long (10 s, ``most_bytes``), broken, or not to be reached.
        """
        parts = self.check(url)
        said: dict[bytes | str, bytes | str] = {"Host": parts.netloc, "Accept-Encoding": "identity"}
        said.update(headers or {})
        try:
            async with self._at_once, asyncio.timeout(TIMEOUT_S):  # waiting for others is not the address's fault
                return await self._ask(method, url, parts, said, body, most_bytes)
        except _FAILURES as error:
            raise NoAnswer(f"{parts.hostname} gave no usable answer.") from error

    async def _ask(
        self,
        method: str,
        url: str,
        parts: SplitResult,
        headers: Mapping[bytes | str, bytes | str],
        body: bytes,
        most_bytes: int,
    ) -> Answer:
        way = _Checked(self._resolve, functools.partial(self._may, is_plain=parts.scheme == "http"))
        async with (
            httpcore.AsyncConnectionPool(ssl_context=self._trust, max_connections=1, network_backend=way) as pool,
            pool.stream(method, url, headers=headers, content=body or None) as response,
        ):
            heard = bytearray()
            async for part in response.aiter_stream():
                heard += part
                if len(heard) > most_bytes:
                    raise NoAnswer(f"{parts.hostname} answered with more than {most_bytes} bytes.")
            said = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
            return Answer(response.status, said, bytes(heard))

    def _may(self, address: str, *, is_plain: bool) -> bool:
        """Whether it may be connected to: somebody's on the internet, by https; in development, this machine."""
        return self._may_loop_back if is_loopback(address) else is_public(address) and not is_plain


class _Checked(httpcore.AsyncNetworkBackend):
    """Looks a name up once, and connects to what it has checked; TLS still asks for the name's certificate."""

    def __init__(self, resolve: Resolve, may: Callable[[str], bool]) -> None:
        self._resolve = resolve
        self._may = may
        self._real = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await self._resolve(host, port)
        if not addresses or not all(map(self._may, addresses)):
            raise AddressRefused
        for address in addresses[:-1]:
            try:
                return await self._real.connect_tcp(address, port, 3.0, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._real.connect_tcp(addresses[-1], port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
