"""Where the broker is and who we are there, out of the settings; what does not fit together is told by its variable."""

import ssl
from socket import gethostname
from typing import Final
from urllib.parse import unquote, urlsplit

from engine.settings import SettingError, Settings, variable
from ingest.adapters.broker.client import Address
from ingest.tls_client import client_context

_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_AWS_ALPN: Final = "x-amzn-mqtt-ca"
"""How AWS IoT Core tells MQTT with a certificate from HTTPS, on port 443."""


def of_settings(settings: Settings) -> Address:
    """The address in `TIDEGATE_BROKER_…`. Raises SettingError."""
    url = urlsplit(settings.broker_url)
    password = unquote(url.password) if url.password is not None else None
    if settings.broker_password_file is not None:
        try:
            password = settings.broker_password_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            name = variable("broker_password_file")
            raise SettingError(
                f"{name} cannot be read ({type(error).__name__}): {settings.broker_password_file}"
            ) from None
    port = url.port or _PORTS[url.scheme]
    return Address(
        url.hostname or "",
        port,
        settings.broker_client_id or f"tidegate-{gethostname()}-{settings.mqtt_port}",
        unquote(url.username) if url.username else None,
        password,
        _tls(settings, port) if url.scheme == "mqtts" else None,
    )


def _tls(settings: Settings, port: int) -> ssl.SSLContext:
    if (settings.broker_cert is None) != (settings.broker_key is None):
        raise SettingError(f"{variable('broker_cert')} and {variable('broker_key')} belong together: set both or none.")
    try:
        context = client_context(settings.broker_ca)
    except (OSError, ssl.SSLError) as error:
        name = variable("broker_ca")
        raise SettingError(f"{name} is no PEM of certificates ({type(error).__name__}): {settings.broker_ca}") from None
    if port == 443:
        context.set_alpn_protocols([_AWS_ALPN])
    if settings.broker_cert is not None:
        try:
            context.load_cert_chain(settings.broker_cert, settings.broker_key)
        except (OSError, ssl.SSLError) as error:
            name = f"{variable('broker_cert')} and {variable('broker_key')}"
            raise SettingError(f"{name} are no PEM certificate and its key ({type(error).__name__}).") from None
    return context
