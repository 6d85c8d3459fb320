"""What is due goes out, once if nothing fails and with one id if something does, and nobody waits for the dead."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from uuid import uuid4

import orjson
import pytest
from sqlalchemy import text
from standardwebhooks.webhooks import Webhook

from engine.certificates.vault import LocalVault
from engine.notifications import contacts, leases, messages, service
from engine.notifications.contacts import Contact
from engine.notifications.mail import Mail
from engine.notifications.model import ChannelKind, Delivery, DeliveryState, Message, Step
from engine.notifications.postman import NO_MAIL, Postman, Ways
from engine.outbound.fetch import Outbound
from engine.store.pool import Store
from engine.tenancy import system
from tests.engine.notifications.conftest import HOT, Desk
from tests.support.outside import Endpoint, Post, endpoint, post_office
from tests.support.patience import PATIENCE_S

ORIGIN = "https://tidegate.example"
OUTBOUND = Outbound(may_loop_back=True)


@pytest.fixture
def post() -> Iterator[Post]:
    """A mail server."""
    with post_office() as post:
        yield post


@pytest.fixture
async def hook() -> AsyncIterator[Endpoint]:
    """A web server of the tenant's."""
    async with endpoint() as made:
        yield made


@pytest.fixture
def ways(vault: LocalVault, post: Post) -> Ways:
    """Mail by the local server, webhooks to this machine too."""
    return Ways(vault, OUTBOUND, Mail("127.0.0.1", post.port, False, "Tidegate <tide@gate.example>"), ORIGIN)


class Round:
    """A postman of one tenant, sent out by hand."""

    def __init__(self, desk: Desk, worker_store: Store, ways: Ways) -> None:
        self.desk, self.store, self.ways = desk, worker_store, ways

    async def go(self, *, later: timedelta | None = None) -> list[Delivery]:
        """Send what is due (or will be ``later``), and see the log."""
        if later is not None:
            await self.hurry(later)
        postman = Postman(self.store, self.ways)
        postman.wake([self.desk.tenant.id])
        async with asyncio.timeout(PATIENCE_S):
            await postman.rest()
        return await self.desk.log()

    async def hurry(self, by: timedelta) -> None:
        """Let time go by for everything that waits, and for channels that fail."""
        async with self.store.as_tenant(system(self.desk.tenant.id)) as tx:
            await tx.execute(
                text(
                    "UPDATE deliveries SET next_at = next_at - CAST(:by AS interval), "
                    "first_at = first_at - CAST(:by AS interval) WHERE next_at IS NOT NULL"
                ),
                {"by": by},
            )
            await tx.execute(
                text("UPDATE channels SET failing_since = failing_since - CAST(:by AS interval)"), {"by": by}
            )


@pytest.fixture
def round_(desk: Desk, worker_store: Store, ways: Ways) -> Round:
    """The postman, ready to go."""
    return Round(desk, worker_store, ways)


async def _hook(desk: Desk, hook: Endpoint, name: str = "program") -> Contact:
    contact = contacts.webhook(OUTBOUND, hook.url)
    channel = await desk.channel(name, contact)
    await desk.policy(name, Step(0, (channel.id,)))
    return contact


async def test_mail_arrives_as_text_and_as_html(desk: Desk, round_: Round, post: Post) -> None:
    channel = await desk.channel("team", contacts.email(["a@desk.example", "b@desk.example"]))
    await desk.policy("team", Step(0, (channel.id,)))
    await desk.notify("team", Message("alert.raised", "Hot <7>", "It is 9.1 °C.", (("Door", "<open>"),), "/alerts"))
    log = await round_.go()
    assert {each.state for each in log} == {DeliveryState.DELIVERED}
    assert sorted(post.recipients) == [["a@desk.example"], ["b@desk.example"]]
    letter = post.letters[0]
    assert letter["Subject"] == "Hot <7>"
    assert letter["From"] == "Tidegate <tide@gate.example>"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter["Message-ID"].strip("<>").partition("@")[0] in {str(each.id) for each in log}
    plain, html = letter.get_body(("plain",)), letter.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert f"It is 9.1 °C.\r\n\r\nDoor: <open>\r\n\r\nOpen in Tidegate: {ORIGIN}/alerts" in plain.get_content().replace(
        "\n", "\r\n"
    ).replace("\r\r", "\r")
    said = html.get_content()
    assert "&lt;open&gt;" in said
    assert "<open>" not in said
    assert f'href="{ORIGIN}/alerts"' in said
    for outside in ("<img", "http://", "src=", "<script", "url("):
        assert outside not in said


async def test_a_webhook_is_signed_so_that_the_library_verifies_it(desk: Desk, round_: Round, hook: Endpoint) -> None:
    contact = await _hook(desk, hook)
    await desk.notify("program")
    (entry,) = await round_.go()
    assert entry.state is DeliveryState.DELIVERED
    (call,) = hook.calls
    assert call.line == "POST /hook?token=a-secret-of-theirs HTTP/1.1"
    assert call.headers["webhook-id"] == str(entry.id)
    said = Webhook(contact.secrets["key"]).verify(call.body, call.headers)
    assert said == orjson.loads(call.body)
    assert said["type"] == "alert.raised"
    assert said["data"]["severity"] == "major"
    assert said["data"]["url"] == f"{ORIGIN}/alerts"


async def test_what_fails_is_tried_again_with_the_same_id_until_it_arrives(
    desk: Desk, round_: Round, hook: Endpoint
) -> None:
    contact = await _hook(desk, hook)
    hook.answer = lambda _call: 503
    await desk.notify("program")
    (entry,) = await round_.go()
    assert (entry.state, entry.attempts) == (DeliveryState.RETRYING, 1)
    assert entry.last_error == "The endpoint answered 503."
    assert entry.next_at is not None
    assert timedelta(seconds=3) < entry.next_at - entry.created_at < timedelta(seconds=15)
    await round_.go()  # it is not due yet
    assert len(hook.calls) == 1
    await round_.go(later=timedelta(minutes=1))
    hook.answer = lambda _call: 200
    (entry,) = await round_.go(later=timedelta(minutes=1))
    assert (entry.state, entry.attempts, entry.last_error) == (DeliveryState.DELIVERED, 3, None)
    assert len({call.headers["webhook-id"] for call in hook.calls}) == 1
    assert len({call.body for call in hook.calls}) == 1
    for call in hook.calls:
        Webhook(contact.secrets["key"]).verify(call.body, call.headers)


async def test_who_dies_between_sending_and_noting_leaves_it_to_be_sent_again_with_the_same_id(
    desk: Desk, round_: Round, hook: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _hook(desk, hook)
    await desk.notify("program")

    async def dies(*_: object) -> None:
        raise RuntimeError("killed between sending and noting")

    with monkeypatch.context() as planted:
        planted.setattr(leases, "arrived", dies)
        (entry,) = await round_.go()
    assert (entry.state, len(hook.calls)) == (DeliveryState.SENDING, 1)
    (entry,) = await round_.go()  # somebody may still be at it
    assert len(hook.calls) == 1
    (entry,) = await round_.go(later=timedelta(seconds=leases.LEASE_S))
    assert (entry.state, entry.attempts) == (DeliveryState.DELIVERED, 2)
    assert [call.headers["webhook-id"] for call in hook.calls] == [str(entry.id)] * 2


async def test_two_postmen_do_not_send_the_same_twice(
    desk: Desk, worker_store: Store, ways: Ways, hook: Endpoint
) -> None:
    await _hook(desk, hook)
    hook.wait_s = 0.2
    for _ in range(6):
        await desk.notify("program")
    postmen = [Postman(worker_store, ways) for _ in range(3)]
    async with asyncio.timeout(PATIENCE_S):
        while any(each.state is not DeliveryState.DELIVERED for each in await desk.log()):
            for postman in postmen:
                postman.wake([desk.tenant.id])
            await asyncio.sleep(0.05)
        await asyncio.gather(*(postman.rest() for postman in postmen))
    assert len(hook.calls) == 6
    assert len({call.headers["webhook-id"] for call in hook.calls}) == 6


@pytest.mark.parametrize("looked_at", [leases.LOOKED_AT, leases.EACH + 1], ids=["few wait", "more than are looked at"])
async def test_an_endpoint_that_does_not_answer_holds_up_nobody_else(
    desk: Desk, worker_store: Store, ways: Ways, hook: Endpoint, looked_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LOOKED_AT", looked_at)
    await _hook(desk, hook, "slow")
    hook.may_answer.clear()
    for _ in range(20):
        await desk.notify("slow")
    async with endpoint() as quick:
        await _hook(desk, quick, "quick")
        await desk.notify("quick")
        postman = Postman(worker_store, ways)
        async with asyncio.timeout(PATIENCE_S):
            while not quick.calls:
                postman.wake([desk.tenant.id])  # as the tick does
                await asyncio.sleep(0.02)
        assert len(hook.calls) <= leases.EACH  # and those are still waiting for their answer
        states = {each.state for each in await desk.log() if each.channel_name == "slow"}
        assert DeliveryState.DELIVERED not in states
        async with asyncio.timeout(PATIENCE_S):
            hook.may_answer.set()
            await postman.rest()


async def test_what_waits_for_its_turn_at_one_channel_follows_at_once_and_not_with_the_next_tick(
    desk: Desk, round_: Round, hook: Endpoint
) -> None:
    await _hook(desk, hook)
    for _ in range(4 * leases.EACH):
        await desk.notify("program")
    assert {each.state for each in await round_.go()} == {DeliveryState.DELIVERED}
    assert len(hook.calls) == 4 * leases.EACH


async def test_a_dead_channel_is_knocked_at_once_and_not_once_for_each_that_waits(
    desk: Desk, round_: Round, hook: Endpoint
) -> None:
    await _hook(desk, hook)
    hook.answer = lambda _call: 500
    for _ in range(12):
        await desk.notify("program")
    log = await round_.go()
    assert len(hook.calls) <= leases.EACH
    assert all(each.next_at is not None and each.next_at > each.created_at for each in log)


async def test_a_channel_that_fails_for_days_is_switched_off_and_the_owners_are_told(
    desk: Desk, round_: Round, hook: Endpoint, post: Post
) -> None:
    await _hook(desk, hook)
    channel = (await desk.see_all())[0]
    hook.answer = lambda _call: 500
    await desk.notify("program")
    for _ in range(9):
        await round_.go(later=timedelta(hours=7))
    assert (await desk.see(channel)).is_enabled  # nine failures are not ten
    await desk.notify("program")
    log = await round_.go(later=timedelta(hours=17))
    off = await desk.see(channel)
    assert not off.is_enabled
    assert off.disabled_reason is not None
    assert "The endpoint answered 500." in off.disabled_reason
    assert {each.state for each in log if each.kind is ChannelKind.WEBHOOK} == {DeliveryState.GIVEN_UP}
    await round_.go()
    (letter,) = post.letters
    assert letter["To"] == desk.tenant.email
    assert letter["Subject"] == "The channel “program” was switched off"
    async with desk.store.as_tenant(desk.tenant.principal(), read_only=True) as tx:
        actions = {row["action"] for row in await tx.rows(text("SELECT action FROM audit"))}
    assert "channel.disable" in actions


async def test_who_says_gone_is_not_asked_again(desk: Desk, round_: Round, hook: Endpoint) -> None:
    await _hook(desk, hook)
    hook.answer = lambda _call: 410
    await desk.notify("program")
    (entry,) = [each for each in await round_.go() if each.kind is ChannelKind.WEBHOOK]
    assert entry.state is DeliveryState.GIVEN_UP
    assert not (await desk.see_all())[0].is_enabled


async def test_owners_are_told_of_a_dead_channel_however_much_waits_already(
    desk: Desk, round_: Round, hook: Endpoint, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too much waiting is what a dead channel leads to: it must not keep the channel from being switched off."""
    await _hook(desk, hook)
    hook.answer = lambda _call: 410
    await desk.notify("program")
    monkeypatch.setattr(service, "MOST_WAITING", 0)
    await round_.go()
    assert not (await desk.see_all())[0].is_enabled
    await round_.go()
    assert [letter["To"] for letter in post.letters] == [desk.tenant.email]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(desk: Desk, round_: Round, hook: Endpoint, status: int) -> None:
    await _hook(desk, hook)
    hook.answer = lambda _call: status
    await desk.notify("program")
    (entry,) = await round_.go()
    assert "none is followed" in (entry.last_error or "")
    assert len(hook.calls) == 1


async def test_an_address_that_leads_inside_is_given_up_when_its_name_is_looked_up(
    desk: Desk, worker_store: Store, ways: Ways
) -> None:
    async def resolve(_host: str, _port: int) -> list[str]:
        return ["169.254.169.254"]

    outbound = Outbound(resolve=resolve)
    channel = await desk.channel("inner", contacts.webhook(outbound, "https://metadata.example/latest"))
    await desk.policy("inner", Step(0, (channel.id,)))
    await desk.notify("inner")
    guarded = Ways(ways.vault, outbound, ways.mail, ORIGIN)
    (entry,) = await Round(desk, worker_store, guarded).go()
    assert entry.state is DeliveryState.GIVEN_UP
    assert "public internet" in (entry.last_error or "")


async def test_a_test_is_tried_once_even_where_the_channel_is_switched_off(
    desk: Desk, round_: Round, hook: Endpoint
) -> None:
    channel = await desk.channel("program", contacts.webhook(OUTBOUND, hook.url))
    hook.answer = lambda _call: 404
    async with desk.store.as_tenant(desk.tenant.principal()) as tx:
        await service.tell_channel(tx, channel.id, messages.test(channel="program", by="me"), key=uuid4())
    (entry,) = await round_.go()
    assert (entry.state, entry.last_error) == (DeliveryState.GIVEN_UP, "The endpoint answered 404.")
    assert (await desk.see(channel)).failures == 0


async def test_the_link_of_an_invitation_is_sealed_until_it_is_sent_and_wiped_then(
    desk: Desk, round_: Round, post: Post
) -> None:
    async with desk.store.as_tenant(desk.tenant.principal()) as tx:
        message = messages.invitation(tenant="Harbour", by="anna@desk.example", until="1 May 2026, 12:00 UTC")
        link = "/auth/accept?token=tgi_a-secret-of-ours"
        await service.mail(tx, desk.vault, "new@desk.example", message, key=uuid4(), secret_link=link)
    assert "tgi_a-secret" not in await _rows(desk)
    await round_.go()
    body = post.letters[0].get_body(("plain",))
    assert body is not None
    assert f"{ORIGIN}{link}" in body.get_content()
    async with desk.store.as_tenant(desk.tenant.principal(), read_only=True) as tx:
        assert await tx.scalar(text("SELECT count(*) FROM deliveries WHERE secret IS NOT NULL")) == 0


async def test_a_recipient_that_is_refused_for_good_is_not_tried_again(desk: Desk, round_: Round, post: Post) -> None:
    channel = await desk.channel("team", contacts.email(["gone@desk.example", "full@desk.example"]))
    await desk.policy("team", Step(0, (channel.id,)))
    post.refuse = {"gone@desk.example": "550 No such user", "full@desk.example": "452 Mailbox full"}
    await desk.notify("team")
    log = {each.target: each for each in await round_.go()}
    assert log["gone@desk.example"].state is DeliveryState.GIVEN_UP
    assert log["gone@desk.example"].last_error == "The mail server refuses the address (550)."
    assert log["full@desk.example"].state is DeliveryState.RETRYING


async def test_without_a_mail_server_mail_is_given_up_in_words(desk: Desk, worker_store: Store, ways: Ways) -> None:
    channel = await desk.channel("team")
    await desk.policy("team", Step(0, (channel.id,)))
    await desk.notify("team")
    (entry,) = await Round(desk, worker_store, Ways(ways.vault, OUTBOUND, None, ORIGIN)).go()
    assert (entry.state, entry.last_error) == (DeliveryState.GIVEN_UP, NO_MAIL)
    async with desk.store.as_tenant(desk.tenant.principal()) as tx:
        assert (await service.retry(tx, entry.id)).state is DeliveryState.WAITING


async def test_secrets_are_neither_in_the_log_nor_in_the_rows(
    desk: Desk, round_: Round, hook: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    contact = await _hook(desk, hook)
    await desk.notify("program", HOT)
    hook.answer = lambda _call: 500
    await round_.go()
    hidden = (contact.secrets["key"], "a-secret-of-theirs")
    kept = await _rows(desk)
    ours = "".join(f"{r.getMessage()} {r.__dict__}" for r in caplog.records if r.name.startswith("engine"))
    for secret in hidden:
        assert secret not in kept
        assert secret not in ours


async def _rows(desk: Desk) -> str:
    async with desk.store.as_tenant(desk.tenant.principal(), read_only=True) as tx:
        rows = [await tx.rows(text(f"SELECT * FROM {name}")) for name in ("channels", "deliveries", "audit")]
    return repr([dict(row) for each in rows for row in each])


async def test_the_door_names_who_has_something_to_send_and_only_when_it_is_due(
    desk: Desk, round_: Round, worker_store: Store, hook: Endpoint
) -> None:
    async def is_due() -> bool:
        rows = await worker_store.door("due")
        return (desk.tenant.id, "deliveries") in {(row["tenant_id"], row["what"]) for row in rows}

    await _hook(desk, hook)
    assert not await is_due()
    await desk.notify("program")
    assert await is_due()
    hook.answer = lambda _call: 503
    await round_.go()
    assert not await is_due()  # it waits for its next try
    await round_.hurry(timedelta(minutes=1))
    assert await is_due()


async def test_the_log_is_kept_for_thirty_days_and_what_still_waits_for_as_long_as_it_does(
    desk: Desk, round_: Round, hook: Endpoint
) -> None:
    await _hook(desk, hook)
    await desk.notify("program")
    await round_.go()
    await desk.notify("program")
    for age, kept in ((29, 2), (31, 1)):
        async with round_.store.as_tenant(system(desk.tenant.id)) as tx:
            old = (
                "UPDATE deliveries SET created_at = now() - CAST(:age AS interval), "
                "ended_at = ended_at - CAST(:age AS interval)"
            )
            await tx.execute(text(old), {"age": timedelta(days=age)})
            await leases.prune(tx)
        assert len(await desk.log()) == kept


@pytest.mark.parametrize("address", ["ops@example..com", "ops@" + "x" * 80 + ".example"])
async def test_an_address_that_no_letter_can_bear_ends_in_words(
    address: str, desk: Desk, round_: Round, worker_store: Store
) -> None:
    async with worker_store.as_tenant(system(desk.tenant.id)) as tx:
        await service.mail(tx, desk.vault, address, HOT, key=uuid4())
    (told,) = await round_.go()
    assert told.state in (DeliveryState.GIVEN_UP, DeliveryState.RETRYING, DeliveryState.DELIVERED)
    assert told.state is DeliveryState.DELIVERED or told.last_error


async def test_a_surprise_while_sending_is_a_failed_try_like_any_other(
    desk: Desk, round_: Round, hook: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _hook(desk, hook)
    await desk.notify("program")

    async def explode(*_: object, **__: object) -> None:
        raise RuntimeError("nobody has thought of this")

    monkeypatch.setattr("engine.notifications.webhook.send", explode)
    (told,) = await round_.go()
    assert (told.state, told.last_error) == (DeliveryState.RETRYING, "Something went wrong on our side.")
