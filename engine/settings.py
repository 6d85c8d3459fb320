"""Every setting of the platform, read from the environment: name, default, meaning and parser in one table.

A setting `http_port` is the variable `TIDEGATE_HTTP_PORT`; one that is empty counts as not set. `tidegate doctor`
prints the whole table with the values in force. The supervisor of `tidegate up` sets the addresses of its engines per
process, so that each one connects to the database with its own role.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from email.utils import parseaddr
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

PREFIX = "TIDEGATE_"
MASK = "********"


class SettingError(ValueError):
    """A variable has a value that cannot be used; the message names the variable and what it must be."""


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65_535:
        raise ValueError("must be a port number from 1 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError("must be a whole number from 1 upwards")
    return int(text)


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 90:
        raise ValueError("must be a number of days from 1 to 90")
    return int(text)


def _long_days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1_095:
        raise ValueError("must be a number of days from 1 to 1095")
    return int(text)


def _secret(text: str) -> str:
    if len(text) < 16:
        raise ValueError("must have at least 16 characters")
    return text


def _aws_iot_arn(text: str) -> str:
    if not re.fullmatch(r"arn:aws[a-z-]*:iot:[a-z0-9-]+:\d{12}", text):
        raise ValueError("must be arn:aws:iot:REGION:ACCOUNT")
    return text


def _word(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", text):
        raise ValueError("must have 1 to 64 characters of A-Z a-z 0-9 _ . -")
    return text


def _level(text: str) -> str:
    levels = ("DEBUG", "INFO", "WARNING", "ERROR")
    if text.upper() not in levels:
        raise ValueError(f"must be one of {', '.join(levels)}")
    return text.upper()


def _url(*schemes: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        parts = urlsplit(text)
        if parts.scheme not in schemes or not parts.hostname:
            raise ValueError(f"must be a URL that begins with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        return text.rstrip("/")

    return parse


def _mailbox(text: str) -> str:
    _, address = parseaddr(text)
    if not re.fullmatch(r"[!-~]{1,64}@[!-~]{1,190}", address) or not text.isprintable():
        raise ValueError("must be an e-mail address, like alerts@example.com or Tidegate <alerts@example.com>")
    return text


def _switch(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError("must be 1 for yes or 0 for no")
    return text == "1"


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _setting(default: Any, meaning: str, parse: Callable[[str], Any] = str, *, secret: bool = False) -> Any:
    """One row of the table. `Any` is what `dataclasses.field` itself tells the type checker."""
    return field(default=default, metadata={"meaning": meaning, "parse": parse, "secret": secret})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What one process was told; immutable."""

    host: str = _setting("127.0.0.1", "address that every server listens on")
    http_port: int = _setting(8000, "console, GraphQL, REST mirror", _port)
    ingest_http_port: int = _setting(8001, "devices over HTTP", _port)
    ingest_https_port: int = _setting(8443, "devices over HTTP with TLS", _port)
    mqtt_port: int = _setting(1883, "devices over MQTT", _port)
    mqtts_port: int = _setting(8883, "devices over MQTT with TLS", _port)
    mqtt_ws_port: int = _setting(8083, "devices over MQTT in WebSockets", _port)
    mqtt_wss_port: int = _setting(8084, "devices over MQTT in WebSockets with TLS", _port)
    coap_port: int = _setting(5683, "devices over CoAP (UDP)", _port)
    coap_plain: bool = _setting(
        False, "take tokens over CoAP in the clear, where others may listen; on this machine alone they are taken",
        _switch,
    )  # fmt: skip
    internal_host: str = _setting("127.0.0.1", "address of the internal ports: health, metrics, authorize")
    metrics_port: int = _setting(9100, "internal port of a process; the next free one where it is not set", _port)
    authorize_secret: str = _setting(
        "", "what brokers show when they ask ingest's internal port who may do what; without it they are not answered",
        _secret, secret=True,
    )  # fmt: skip
    gateway_url: str = _setting(
        "", "where ingest reaches the web process, which lets new devices in; default http://HOST:HTTP_PORT",
        _url("http", "https"),
    )  # fmt: skip
    relay_secret: str = _setting(
        "", "what ingest shows the web process when it passes a new device on; default a key in DATA_DIR/relay.key",
        _secret, secret=True,
    )  # fmt: skip
    broker_url: str = _setting(
        "", "a broker whose devices' messages ingest takes as well: mqtt://USER:PASSWORD@HOST:1883 or mqtts://HOST:8883",
        _url("mqtt", "mqtts"), secret=True,
    )  # fmt: skip
    broker_password_file: Path | None = _setting(  # noqa: RUF009  # a frozen default
        None, "file with the password for broker_url, instead of one in it", Path
    )
    broker_ca: Path | None = _setting(  # noqa: RUF009  # a frozen default
        None, "certificates (PEM) that the broker's may come from; default those the system believes", Path
    )
    broker_cert: Path | None = _setting(  # noqa: RUF009  # a frozen default
        None, "certificate (PEM) that ingest shows the broker; AWS IoT Core knows it by that", Path
    )
    broker_key: Path | None = _setting(None, "private key (PEM) of broker_cert", Path)  # noqa: RUF009  # a frozen default
    broker_group: str = _setting(
        "tidegate", "name of the shared subscription, the same for all ingest processes of an installation", _word
    )
    broker_client_id: str = _setting(
        "", "what ingest is called at the broker, each process otherwise and after a restart the same; default by "
        "host name and mqtt_port", _word,
    )  # fmt: skip
    broker_tenant: str = _setting("", "key of the only tenant whose devices the broker speaks for; default any", _word)
    aws_iot_arn: str = _setting(
        "", "what AWS IoT's resources begin with, arn:aws:iot:REGION:ACCOUNT, where its custom authorizer asks ingest",
        _aws_iot_arn,
    )  # fmt: skip
    data_dir: Path = _setting(Path(".tidegate"), "folder of the embedded engines and of what `up` writes", Path)  # noqa: RUF009  # a frozen default
    audit_key: Path | None = _setting(  # noqa: RUF009  # a frozen default
        None, "Ed25519 key (PEM) that signs the audit log; default DATA_DIR/audit.key", Path
    )
    oscore_key: Path | None = _setting(  # noqa: RUF009  # a frozen default
        None, "key that seals devices' OSCORE contexts, for web and ingest; default DATA_DIR/oscore.key", Path
    )
    tls_cert: Path | None = _setting(  # noqa: RUF009  # a frozen default
        None, "certificate chain (PEM) of the servers for devices; default a self-made one in DATA_DIR/tls", Path
    )
    tls_key: Path | None = _setting(None, "private key (PEM) of tls_cert", Path)  # noqa: RUF009  # a frozen default
    jwt_audience: str = _setting("tidegate", "the aud that a device's JWT must name")
    public_url: str = _setting(
        "", "address people open in the browser; default http://HOST:HTTP_PORT", _url("http", "https")
    )
    allowed_hosts: tuple[str, ...] = _setting((), "further Host names to answer to, comma-separated", _words)
    database_url: str = _setting(
        "", "PostgreSQL, with the role of this process; `up` runs its own when not set",
        _url("postgresql", "postgres"), secret=True,
    )  # fmt: skip
    valkey_url: str = _setting(
        "", "Valkey (queues, wake-ups); `up` runs its own when not set", _url("redis", "rediss"), secret=True
    )
    workers: int = _setting(1, "Celery worker processes that `up` starts", _count)
    ingest_processes: int = _setting(
        1, "ingest processes that `up` starts; more than one share the devices' ports of this machine", _count
    )
    web_spare: bool = _setting(
        True, "keep a second web process loaded that serves as soon as the first dies; 0 saves its memory", _switch
    )
    quota_devices: int = _setting(100_000, "devices of a tenant, unless its own quota says otherwise", _count)
    quota_messages_per_s: int = _setting(20_000, "messages a second of all of a tenant's devices", _count)
    quota_values_per_s: int = _setting(200_000, "values a second of all of a tenant's devices", _count)
    quota_device_messages_per_s: int = _setting(1_000, "messages a second of one device", _count)
    quota_storage_days: int = _setting(90, "days for which a tenant's telemetry is kept, at most 90", _days)
    rollup_days: int = _setting(
        730, "days for which hours and days of telemetry are kept, unless a tenant says less; at most 1095", _long_days
    )
    quota_subscriptions: int = _setting(10_000, "live streams that a tenant may have open", _count)
    quota_api_cost_per_min: int = _setting(1_200_000, "cost of a tenant's API operations a minute", _count)
    outbound_loopback: bool = _setting(
        False, "for development: connect to this machine, and by http, where a tenant typed such an address", _switch
    )
    smtp_url: str = _setting(
        "", "mail server: smtp://USER:PASSWORD@HOST:587 (STARTTLS) or smtps://…; without it no e-mail is sent",
        _url("smtp", "smtps"), secret=True,
    )  # fmt: skip
    mail_from: str = _setting("", "whom e-mail comes from, like Tidegate <alerts@example.com>", _mailbox)
    channel_dead_days: int = _setting(
        3, "days without a success, and ten failures, after which a notification channel is switched off", _days
    )
    log_level: str = _setting("INFO", "DEBUG, INFO, WARNING or ERROR", _level)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """The settings in an environment; raises `SettingError` naming the first variable that cannot be used."""
        given: dict[str, Any] = {}
        for row in fields(cls):
            text = environ.get(variable(row.name), "").strip()
            if text:
                given[row.name] = _parsed(row, text)
        return cls(**given)

    @property
    def origin(self) -> str:
        """The address people open, without a slash at the end: `public_url`, or what follows from host and port."""
        return self.public_url or self._here

    @property
    def gateway(self) -> str:
        """Where ingest reaches the web process, without a slash at the end: `gateway_url`, or on this machine."""
        return self.gateway_url or self._here

    @property
    def _here(self) -> str:
        reachable = "127.0.0.1" if self.host in ("0.0.0.0", "::", "") else self.host  # noqa: S104  # compared, not bound
        return f"http://{reachable}:{self.http_port}"

    def rows(self, environ: Mapping[str, str] = os.environ) -> Iterator[tuple[str, str, str, str]]:
        """The table for people: variable, value (secrets masked), "environment" or "default", meaning."""
        for row in fields(self):
            name = variable(row.name)
            source = "environment" if environ.get(name, "").strip() else "default"
            yield name, _shown(row, getattr(self, row.name)), source, str(row.metadata["meaning"])


def variable(name: str) -> str:
    """The environment variable of a setting: `http_port` → `TIDEGATE_HTTP_PORT`."""
    return PREFIX + name.upper()


def unknown_variables(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Variables that begin like ours but are no setting: most likely typing mistakes."""
    known = {variable(row.name) for row in fields(Settings)}
    return sorted(name for name in environ if name.startswith(PREFIX) and name not in known)


def masked(secret: str) -> str:
    """A URL whose password, if it has one, is replaced by asterisks; of anything else nothing is left."""
    if "://" not in secret:
        return MASK
    parts = urlsplit(secret)
    if parts.password is None:
        return secret
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:{MASK}@{address}"))


def _parsed(row: "Field[Any]", text: str) -> Any:
    try:
        return row.metadata["parse"](text)
    except ValueError as refusal:
        said = masked(text) if row.metadata["secret"] else text
        raise SettingError(f"{variable(row.name)} is {said!r}: it {refusal}.") from None


def _shown(row: "Field[Any]", value: Any) -> str:
    if value is None or value in ("", ()):
        return "(not set)" if row.default is not MISSING else ""
    if row.metadata["secret"]:
        return masked(str(value))
    return ",".join(value) if isinstance(value, tuple) else str(value)
