"""The MQTT endpoint for devices: 3.1.1 and 5.0, QoS 0, 1 and inbound 2, a PUBACK or PUBREC only after COMMIT."""
