"""A device that speaks MQTT to somebody else's broker, from which the platform takes what it has said.

The broker's PUBACK is the broker's promise; the platform's is its own PUBACK to the broker, after COMMIT.
"""

from infra.local import device_client
from tests.ingest.adapters.conformance.speaks_mqtt import MqttSpeaker


class BrokerSpeaker(MqttSpeaker):
    """The same device as at our own endpoint, with an account at Mosquitto."""

    def _new(self) -> device_client.DeviceClient:
        login = self._login
        return device_client.DeviceClient("127.0.0.1", login.broker.port, login.name, login.token)
