"""The console's tests: a package, so that what runs for them all ends with them (see conftest.py)."""
