"""The tables' common ground: one metadata, and the column every tenant table begins with."""

from typing import Any

from sqlalchemy import Column, MetaData, Uuid

metadata = MetaData()


def tenant_column() -> Column[Any]:
    """``tenant_id``, first in every key and index, since policies compare it first."""
    return Column("tenant_id", Uuid, primary_key=True)
