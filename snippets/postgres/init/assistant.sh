#!/usr/bin/env bash
# The Postgres image runs this once, when its volume is empty.
set -euo pipefail

ASSISTANT_PASSWORD=$(</run/secrets/database_password)
export ASSISTANT_PASSWORD

# The service owns its database but is no superuser; an extension that only a superuser may install is made here.
psql --set=ON_ERROR_STOP=1 --no-psqlrc --quiet --username="$POSTGRES_USER" --dbname=postgres <<'SQL'
\getenv password ASSISTANT_PASSWORD
-- A statement below holds the password. It is not to be logged, not even where all are, or the slow or wrong ones.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = panic;
CREATE ROLE assistant LOGIN PASSWORD :'password';
CREATE DATABASE assistant OWNER assistant;
REVOKE ALL ON DATABASE assistant FROM PUBLIC;
\connect assistant
CREATE EXTENSION vector;
SQL
unset ASSISTANT_PASSWORD
