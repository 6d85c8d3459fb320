"""The adapters that the suite runs through, one row each; how to add one stands in `speaker`."""

from tests.ingest.adapters.conformance.speaker import Row
from tests.ingest.adapters.conformance.speaks_coap import CoapSpeaker
from tests.ingest.adapters.conformance.speaks_http import HttpSpeaker
from tests.ingest.adapters.conformance.speaks_mqtt import MqttSpeaker

ROWS = (
    Row("MQTT", MqttSpeaker),
    Row("HTTP", HttpSpeaker),
    Row("CoAP", CoapSpeaker),
)
