"""What a process imports before it does its work: a killed one is to be back within seconds (DESIGN D9)."""

import subprocess
import sys

import pytest

# The heavy ones that are needed later or never. Import them where they are used, in a thread if devices wait meanwhile.
LATER = {
    "ingest.service": {"celery", "uvicorn", "starlette", "cryptography", "sqlalchemy", "strawberry", "pydantic"},
    "infra.local.up": {"celery", "strawberry", "starlette", "reflex"},
    "infra.serve": {"celery", "uvicorn", "psycopg", "sqlalchemy", "redis", "cryptography"},
    "resolvers.gateway": {"celery", "kombu"},
}


@pytest.mark.parametrize("module", sorted(LATER))
def test_a_process_starts_without_what_it_needs_only_later(module: str) -> None:
    source = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    imported = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True, timeout=180)
    assert LATER[module] & set(imported.stdout.split()) == set()
