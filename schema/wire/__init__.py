"""The promises made to devices: topics and payloads."""
