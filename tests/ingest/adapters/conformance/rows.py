"""The adapters that the suite runs through, one row each; how to add one stands in `speaker`."""

from tests.ingest.adapters.conformance.speaker import Row
from tests.ingest.adapters.conformance.speaks_broker import BrokerSpeaker
from tests.ingest.adapters.conformance.speaks_coap import CoapSpeaker
from tests.ingest.adapters.conformance.speaks_edge import by_bacnet, by_modbus, by_modbus_rtu, by_opcua
from tests.ingest.adapters.conformance.speaks_http import HttpSpeaker
from tests.ingest.adapters.conformance.speaks_mqtt import MqttSpeaker

_ASKED = "a machine repeats nothing: what the edge has read lies in its spool until the platform has committed it"
_REGISTERS = "no times and no doubt: the time is the edge's, and a value is there or refused with a code"
_NOBODY = (
    "the protocol has none: whoever is in the plant's network may speak as the machine, or to it; what was tried is the"
    " login of the edge that reads it"
)

DEVICES = (
    Row("MQTT", MqttSpeaker),
    Row("HTTP", HttpSpeaker),
    Row("CoAP", CoapSpeaker),
    Row(
        "broker (Mosquitto)",
        BrokerSpeaker,
        behind="broker",
        remarks={
            "downlink": "what waits goes down once a process has heard of the device; no broker says who is there",
            "ack after COMMIT": "a device hears the broker's PUBACK, which is the broker's promise; the broker hears"
            " ours after COMMIT, and keeps the message until then",
            "auth": "whom it lets in, and to which topics, is the broker's own; who is suspended is refused here",
        },
    ),
)
MACHINES = (
    Row(
        "Modbus",
        by_modbus,
        behind="edge",
        carries=frozenset({"bad"}),
        remarks={
            "uplink": _REGISTERS,
            "ack after COMMIT": _ASKED,
            "auth": _NOBODY,
        },
    ),
    Row(
        "Modbus RTU",
        by_modbus_rtu,
        behind="edge",
        carries=frozenset({"bad"}),
        remarks={
            "uplink": _REGISTERS,
            "ack after COMMIT": _ASKED,
            "auth": "the protocol has none: whoever is at the line may speak as the machine; what was tried is the"
            " login of the edge that reads it",
        },
    ),
    Row(
        "OPC-UA",
        by_opcua,
        behind="edge",
        carries=frozenset({"time", "uncertain", "bad"}),
        remarks={
            "ack after COMMIT": _ASKED,
            "auth": "the server's certificate is believed once a person has said so, and what goes over the wire is"
            " signed and encrypted; the server knows the edge by a name and password or by a certificate, and refuses"
            " it without; beside that the login of the edge at the platform",
        },
    ),
    Row(
        "BACnet",
        by_bacnet,
        behind="edge",
        carries=frozenset({"uncertain", "bad"}),
        remarks={
            "uplink": "no times: a reading has the edge's, and each value that a device tells of comes by itself",
            "ack after COMMIT": _ASKED,
            "auth": _NOBODY,
        },
    ),
)
ROWS = (*DEVICES, *MACHINES)
