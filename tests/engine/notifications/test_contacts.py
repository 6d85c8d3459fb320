"""Whatever is typed as a channel's settings: what is right is taken apart, what is hostile is refused."""

import pytest

from engine.notifications import contacts
from engine.notifications.contacts import SmsProvider
from engine.notifications.errors import ChannelMalformed
from engine.outbound.errors import AddressRefused
from engine.outbound.fetch import Outbound

SLACK = "https://hooks.slack.com/services/T0123ABCD/B0123ABCD/abcdefghijklmnopqrstuvwx"
TEAMS = (
    "https://prod-12.westeurope.logic.azure.com:443/workflows/0123456789abcdef0123456789abcdef/triggers/manual/paths/"
    "invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=abcdefghijklmnopqrstuvwxyz0123456789-_ABCDE"
)
AUTOMATE = (
    "https://default0123.45.environment.api.powerplatform.com:443/powerautomate/automations/direct/workflows/"
    "0123456789abcdef0123456789abcdef/triggers/manual/paths/invoke?api-version=1&sp=x&sv=1.0&sig=abcdefghijklmnop"
)
TOKEN = "123456789:AAFabcdefghijklmnopqrstuvwxyz012345"
ACCOUNT = "AC" + "0123456789abcdef" * 2


def test_what_slack_and_teams_give_out_is_taken_apart() -> None:
    slack = contacts.slack(SLACK)
    assert slack.secrets == {"a": "T0123ABCD", "b": "B0123ABCD", "c": "abcdefghijklmnopqrstuvwx"}
    teams = contacts.teams(TEAMS)
    assert teams.secrets["host"] == "prod-12.westeurope.logic.azure.com"
    assert (teams.secrets["automate"], contacts.teams(AUTOMATE).secrets["automate"]) == ("", "powerautomate")
    for contact in (slack, teams):
        assert contact.settings == {}
        assert not any(secret and secret in contact.target for secret in contact.secrets.values())


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://hooks.slack.com/services/T0123ABCD/B0123ABCD",
        SLACK.replace("https", "http"),
        SLACK.replace("hooks.slack.com", "hooks.slack.com.evil.example"),
        SLACK.replace("hooks.slack.com", "evil.example"),
        SLACK.replace("hooks.slack.com", "user@hooks.slack.com"),
        SLACK + "?template=/etc/passwd",
        SLACK + "/../../x",
        "slack://T0123ABCD/B0123ABCD/abcdefghijklmnopqrstuvwx",
        "file:///etc/passwd",
    ],
)
def test_no_other_address_passes_for_slacks(url: str) -> None:
    with pytest.raises(ChannelMalformed):
        contacts.slack(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        TEAMS.replace("https", "http"),
        TEAMS.replace(":443", ":8443"),
        TEAMS.replace(":443", ":x"),
        TEAMS.replace("logic.azure.com", "logic.azure.com.evil.example"),
        TEAMS.replace("prod-12.westeurope.logic.azure.com", "127.0.0.1"),
        TEAMS.replace("prod-12", "user@prod-12"),
        TEAMS.replace("/workflows/", "/../workflows/"),
        TEAMS.replace("sig=", "gis="),
        TEAMS.replace("sig=", "sig=%0d%0a"),
        TEAMS + "#x",
        "https://[::1",
    ],
)
def test_no_other_address_passes_for_teams(url: str) -> None:
    with pytest.raises(ChannelMalformed):
        contacts.teams(url)


@pytest.mark.parametrize(
    ("token", "chat"),
    [(TOKEN, "x"), (TOKEN, "@ab"), (TOKEN, "1/../2"), ("bot", "-1001234567890"), (f"{TOKEN}/x", "-100123"), ("", "")],
)
def test_a_telegram_chat_has_a_bot_and_a_number(token: str, chat: str) -> None:
    assert contacts.telegram(TOKEN, "-1001234567890").target == "chat -1001234567890"
    with pytest.raises(ChannelMalformed):
        contacts.telegram(token, chat)


@pytest.mark.parametrize(
    ("account", "secret", "sender", "numbers"),
    [
        ("me", "abcdefgh12", "+4915112345678", ["+4915112345678"]),
        (ACCOUNT, "short", "+4915112345678", ["+4915112345678"]),
        (ACCOUNT, "abcdefgh12", "x!", ["+4915112345678"]),
        (ACCOUNT, "abcdefgh12", "+4915112345678", ["015112345678"]),
        (ACCOUNT, "abcdefgh12", "+4915112345678", []),
        (ACCOUNT, "abcdefgh12", "+4915112345678", [f"+49151{n}0000000" for n in range(6)]),
    ],
)
def test_a_text_message_needs_an_account_a_sender_and_whole_numbers(
    account: str, secret: str, sender: str, numbers: list[str]
) -> None:
    right = contacts.sms(SmsProvider.TWILIO, ACCOUNT, "abcdefgh12", "+4915112345678", ["+49 151 1234-5678"])
    assert right.settings["numbers"] == ["+4915112345678"]
    with pytest.raises(ChannelMalformed):
        contacts.sms(SmsProvider.TWILIO, account, secret, sender, numbers)


@pytest.mark.parametrize("address", ["", "nobody", "a@b@c", "a@b\r\nBcc: c@d", "a b@c.example", "\x00@c.example"])
def test_what_is_no_e_mail_address_is_refused(address: str) -> None:
    with pytest.raises(ChannelMalformed):
        contacts.email([address])


@pytest.mark.parametrize(
    "url",
    [
        *("http://hooks.example/", "file:///etc/passwd", "https://user:pw@hooks.example/", "https://hooks.example:22/"),
        *(
            "ftp://hooks.example/",
            "https://hooks.example\\@10.0.0.1/",
            "https://hooks.example/\r\nHost: x",
            "",
            "https://",
        ),
    ],
)
def test_a_webhook_is_https_and_nothing_else(url: str) -> None:
    with pytest.raises(AddressRefused):
        contacts.webhook(Outbound(), url)


@pytest.mark.parametrize(
    "host",
    [
        *(
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f.1",
            "0177.0.0.1",
            "10.0.0.1",
            "169.254.169.254",
            "192.168.1.1:8443",
        ),
        *("[::1]", "[::ffff:10.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fd00:ec2::254]", "0.0.0.0"),
    ],
)
def test_an_inner_address_that_is_written_out_is_refused_when_the_channel_is_made(host: str) -> None:
    with pytest.raises(AddressRefused, match="is not on the public internet, and the platform connects to nothing"):
        contacts.webhook(Outbound(), f"https://{host}/hook")


def test_a_public_address_and_a_name_that_looks_like_a_number_are_kept() -> None:
    for host in ("1.1.1.1", "[2606:4700::1111]", "10.0.0.1.example", "127.0.0.example"):
        assert contacts.webhook(Outbound(), f"https://{host}/hook").target == host
    assert contacts.webhook(Outbound(may_loop_back=True), "http://127.0.0.1:8080/").target == "127.0.0.1:8080"


def test_of_a_webhooks_address_only_the_host_is_shown() -> None:
    contact = contacts.webhook(Outbound(), "https://hooks.example/a-secret?token=another")
    assert contact.target == "hooks.example"
    assert "secret" not in repr(contact)
    assert "another" not in repr(contact)
