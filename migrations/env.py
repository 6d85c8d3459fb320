"""How Alembic reaches the database: one connection as the owner, one migration at a time."""

from alembic import context
from sqlalchemy import create_engine, pool, text

from engine.store.pool import dialect_url


def run() -> None:
    """Apply what is missing; two migrators at once wait for each other."""
    url = context.config.attributes.get("database_url")
    if not url:
        raise SystemExit("Set TIDEGATE_DATABASE_URL to the owner's database URL, or run: tidegate migrate")
    engine = create_engine(dialect_url(url), poolclass=pool.NullPool)
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(hashtext('tidegate.migrate'))"))
        connection.commit()
        context.configure(connection=connection, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()
    engine.dispose()


run()
