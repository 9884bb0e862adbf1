"""Runs the migrations: `alembic upgrade head`."""

import logging

from alembic import context
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from assistant import logs
from assistant.database import database_url
from assistant.models import Base
from assistant.settings import DatabaseSettings, SettingsError, load

# Any number that no other program uses for an advisory lock in this database.
LOCK = 20_260_701

try:
    settings = load(DatabaseSettings)
except SettingsError as error:
    logs.refuse("migrations", error)

logs.configure(settings.log_format, settings.log_level)
engine = create_engine(
    database_url(settings),
    connect_args={
        "application_name": "assistant migrations",
        "connect_timeout": settings.database_connect_timeout_seconds,
    },
)

try:
    with engine.begin() as connection:
        # A second runner waits here and then finds nothing left to do.
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        # A migration that waits for a table lock stops every request behind it: give up and be run again instead.
        connection.execute(text("SET LOCAL lock_timeout = '5s'"))
        context.configure(connection=connection, target_metadata=Base.metadata)
        known = {script.revision for script in context.script.walk_revisions()}
        ahead = [head for head in context.get_context().get_current_heads() if head not in known]
        refused = context.get_x_argument(as_dictionary=True).get("ahead") == "refuse"
        if ahead and not refused:
            # After a rollback: a newer version has migrated, and what it added does not disturb this one.
            logging.getLogger("migrations").warning("the database is ahead, at %s; it stays as it is", ", ".join(ahead))
        else:
            context.run_migrations()
except OperationalError as error:
    # No database, a refused login, no lock: causes outside of the migrations, where a traceback leads nowhere.
    logs.refuse("migrations", error)
