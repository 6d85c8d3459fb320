"""How an ingest process tells the web process who stands at the devices' doorway: headers of a passed-on request.

They count only beside `SECRET` with the installation's relay secret. A device never sends them; from one they are
nothing.
"""

SECRET = "Tidegate-Relay"  # noqa: S105  the name of a header
ADDRESS = "Tidegate-Address"
"""The device's network address."""

KEY = "Tidegate-Key"
"""The provisioning key it has logged in with over MQTT."""

CERTIFICATE = "Tidegate-Certificate"
"""The certificate it has shown, as base64 of its DER: TLS has verified its chain, and that the device has its key."""

PROVISION = "/ingest/v1/provision"
CLAIM = "/ingest/v1/provision/claim"
GREET = "/ingest/v1/provision/greet"
"""Asked by ingest alone: whose way in is it that a connection has shown?"""

MAX_BODY_BYTES = 32 * 1024
"""An introduction is no longer, whichever way it comes."""
