"""Devices behind a broker of somebody else's: Mosquitto, EMQX, HiveMQ, AWS IoT Core."""
