"""Devices over HTTP: each request proves who it is, is answered after COMMIT, and begins no session."""
