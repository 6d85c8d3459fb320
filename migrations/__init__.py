"""The history of the database, told by Alembic."""
