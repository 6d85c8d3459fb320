"""Every way by which a tenant names an address, against every trick that leads inside: nobody is ever connected to.

The ways: a webhook, an identity provider's issuer, the key set that an issuer names, and the services that apprise
speaks to, whose addresses are taken apart and never used as they were typed.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import pytest

from engine.errors import EngineError
from engine.identity_providers.discovery import ALGORITHMS, Discovery, Metadata
from engine.identity_providers.errors import ProviderUnfit
from engine.notifications import contacts, webhook
from engine.notifications.errors import ChannelMalformed, Undelivered
from engine.notifications.model import Message
from engine.outbound import fetch
from engine.outbound.fetch import Outbound

KEY = "whsec_" + "A" * 43 + "="
NAMES: Mapping[str, Sequence[str]] = {
    "localhost.": ["127.0.0.1"],
    "127.0.0.1.": ["127.0.0.1"],
    "inner.example": ["10.0.0.1"],
    "here.example": ["127.0.0.1"],
    "here6.example": ["::1"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "nat64.example": ["64:ff9b::7f00:1"],
    "metadata.example": ["169.254.169.254"],
    "metadata6.example": ["fd00:ec2::254"],
    "any.example": ["0.0.0.0"],
    "mixed.example": ["1.1.1.1", "127.0.0.1"],
    "mixed6.example": ["2606:4700::1111", "::1"],
}
"""What names lead to, as hostile name servers would say it."""
HOSTILE = (
    # this machine, however it is spelt
    *("https://127.0.0.1:{port}/", "https://127.1:{port}/", "https://127.0.1:{port}/", "https://2130706433:{port}/"),
    *("https://0x7f000001:{port}/", "https://0x7f.0.0.1:{port}/", "https://0177.0.0.1:{port}/"),
    *("https://017700000001:{port}/", "https://0.0.0.0:{port}/", "https://0:{port}/", "https://localhost:{port}/"),
    *("https://localhost.:{port}/", "https://127.0.0.1.:{port}/", "https://LOCALHOST:{port}/"),
    # in IPv6, and IPv4 inside IPv6
    *("https://[::1]:{port}/", "https://[::]:{port}/", "https://[0:0:0:0:0:0:0:1]:{port}/"),
    *("https://[::ffff:127.0.0.1]:{port}/", "https://[::ffff:7f00:1]:{port}/", "https://[::127.0.0.1]:{port}/"),
    *("https://[64:ff9b::7f00:1]:{port}/", "https://[2002:7f00:1::]:{port}/", "https://[fe80::1%25lo]:{port}/"),
    # other machines inside, and who knows their secrets
    *("https://10.0.0.1:{port}/", "https://192.168.1.1:{port}/", "https://172.16.0.1:{port}/"),
    *("https://169.254.169.254/latest/meta-data/", "https://100.100.100.200/", "https://[fd00:ec2::254]/"),
    # names that lead there
    *(f"https://{name}:{{port}}/" for name in NAMES if name.endswith(".example")),
    # other schemes
    *("http://127.0.0.1:{port}/", "http://here.example:{port}/", "ftp://127.0.0.1:{port}/", "file:///etc/passwd"),
    *("gopher://127.0.0.1:{port}/", "unix:///var/run/docker.sock", "//127.0.0.1:{port}/", "127.0.0.1:{port}"),
    # what only looks like another host
    *("https://user:word@127.0.0.1:{port}/", "https://public.example@127.0.0.1:{port}/"),
    *("https://127.0.0.1:{port}#@public.example/", "https://public.example\\@127.0.0.1:{port}/"),
    *("https://127.0.0.1:{port}\\.public.example/", "https://public.example:443@127.0.0.1:{port}/"),
    *("https://①②⑦.⓪.⓪.①:{port}/", "https://127。0。0。1:{port}/", "https:// 127.0.0.1:{port}/"),
    *("https://public.example/\r\nHost: 127.0.0.1:{port}", "https://public.example%00.127.0.0.1:{port}/"),
    # what is no web server
    *("https://here.example:22/", "https://here.example:25/", "https://here.example:80/", "https://here.example:0/"),
)


async def _resolve(host: str, port: int) -> Sequence[str]:
    return NAMES.get(host) or await fetch.resolve(host, port)


async def _by_webhook(outbound: Outbound, url: str) -> None:
    contact = contacts.webhook(outbound, url)
    await webhook.send(
        outbound,
        Message("alert.raised", "Too warm"),
        url=contact.secrets["url"],
        key=KEY,
        delivery_id=UUID(int=1),
        created_at=datetime.now(UTC),
        now=datetime.now(UTC),
        origin="https://tidegate.example",
    )


async def _by_issuer(outbound: Outbound, url: str) -> None:
    await Discovery(outbound).metadata(url)


async def _by_key_set(outbound: Outbound, url: str) -> None:
    public = "https://public.example/"
    named = Metadata(public, public, public, url, ALGORITHMS, "client_secret_basic", False)
    await Discovery(outbound).keys(named)


WAYS: Mapping[str, Callable[[Outbound, str], Awaitable[None]]] = {
    "webhook": _by_webhook,
    "issuer": _by_issuer,
    "key set": _by_key_set,
}


@asynccontextmanager
async def _listening(said: bytes = b"") -> AsyncIterator[tuple[int, list[str]]]:
    """A server on all addresses of this machine; its port, and who has connected."""
    came: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(str(writer.get_extra_info("peername")))
        if said:
            await reader.read(4_096)
            writer.write(said)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], came
    finally:
        server.close()


@pytest.mark.parametrize("way", WAYS)
async def test_no_hostile_address_is_ever_connected_to(way: str) -> None:
    outbound = Outbound(resolve=_resolve)
    async with _listening() as (port, came):
        for pattern in HOSTILE:
            url = pattern.replace("{port}", str(port))
            with pytest.raises((EngineError, Undelivered)):
                await WAYS[way](outbound, url)
            assert came == [], url


@pytest.mark.parametrize("way", WAYS)
async def test_a_redirect_to_the_inside_is_not_followed(way: str) -> None:
    async with _listening() as (inner, came):
        moved = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{inner}/\r\nContent-Length: 0\r\n\r\n".encode()
        async with _listening(moved) as (port, asked):
            with pytest.raises((EngineError, Undelivered)):
                await WAYS[way](Outbound(may_loop_back=True), f"http://127.0.0.1:{port}/")
            assert len(asked) == 1
        assert came == []


@pytest.mark.parametrize("way", WAYS)
async def test_a_name_that_leads_elsewhere_a_moment_later_leads_nowhere(way: str) -> None:
    """DNS rebinding: what was looked up is what is connected to, and each request looks up and checks anew."""
    answers = iter([["192.0.2.1"], ["127.0.0.1"], ["127.0.0.1"]])
    async with _listening() as (port, came):

        async def resolve(_host: str, _port: int) -> Sequence[str]:
            return next(answers)

        for _ in range(2):
            with pytest.raises((EngineError, Undelivered)):
                await WAYS[way](Outbound(resolve=resolve), f"https://rebinding.example:{port}/")
        assert came == []


@pytest.mark.parametrize("make", [contacts.slack, contacts.teams])
def test_no_address_of_a_tenants_reaches_apprise(make: Callable[[str], contacts.Contact]) -> None:
    for pattern in (*HOSTILE, "json://127.0.0.1/", "mailto://127.0.0.1/", "slack://a/b/c?attach=/etc/passwd"):
        with pytest.raises(ChannelMalformed):
            make(pattern.replace("{port}", "8080"))


async def test_however_many_sign_ins_begin_at_once_a_silent_issuer_is_asked_once() -> None:
    asked = []

    async def resolve(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        await asyncio.sleep(0)
        raise OSError

    discovery = Discovery(Outbound(resolve=resolve))
    begun = [discovery.metadata("https://silent.example") for _ in range(3 * fetch.AT_ONCE)]
    answers = await asyncio.gather(*begun, return_exceptions=True)
    assert {type(answer) for answer in answers} == {ProviderUnfit}
    assert asked == ["silent.example"]
