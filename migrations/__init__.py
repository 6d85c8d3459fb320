"""The history of the database, told by Alembic and applied as the owner."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from engine.store import timescale

ROOT = Path(__file__).resolve().parent.parent


def upgrade(database_url: str, revision: str = "head") -> None:
    """Bring the database at ``database_url`` (the owner's, ``postgresql://…``) to ``revision``.

    At the newest, telemetry lies as the server stores it best (ADR 50).
    """
    command.upgrade(_config(database_url), revision)
    if revision == "head":
        timescale.settle(database_url)


def downgrade(database_url: str, revision: str) -> None:
    """Take the database back to ``revision``, where nothing would be lost by it; raises NotImplementedError."""
    command.downgrade(_config(database_url), revision)


def head() -> str:
    """The newest revision this code knows."""
    revision = ScriptDirectory.from_config(_config("")).get_current_head()
    assert revision is not None
    return revision


def _config(database_url: str) -> Config:
    config = Config(toml_file=str(ROOT / "pyproject.toml"))
    config.set_main_option("script_location", str(ROOT / "migrations"))
    config.attributes["database_url"] = database_url
    return config
