"""The MQTT endpoint for devices: 3.1.1 and 5.0, QoS 0 and 1, a PUBACK only after COMMIT."""
