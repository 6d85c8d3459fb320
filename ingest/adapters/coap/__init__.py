"""Devices over CoAP: one datagram asks, another answers after COMMIT; no session begins."""
