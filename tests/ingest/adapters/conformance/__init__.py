"""One suite for every adapter: a package, so that the process they share ends with them (see conftest.py)."""
