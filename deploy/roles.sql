-- Who may do what with the log in PostgreSQL. Run it as the owner of the database (with CREATEROLE), after
-- `comity init` has made the tables, and again after an upgrade; it may be run any number of times:
--
--     psql -d comity -v ON_ERROR_STOP=1 -v schema=comity -f roles.sql
--
-- comity_writer     gateways, ingest workers: they append; nobody who runs has UPDATE or DELETE on the log
-- comity_reader     relays, oversight, backups, whoever asks: they read the log, and what is derived from it
-- comity_projector  workers that fill the projections: they read the log, and own what they derive
--
-- None logs in. Make one login for each service, and give it one of the three:
--
--     CREATE ROLE gateway LOGIN IN ROLE comity_writer;
--     CREATE ROLE reader LOGIN IN ROLE comity_reader;
--     CREATE ROLE projector LOGIN IN ROLE comity_projector;
--
-- Whoever asks the projections, or fills them, finds them before the log; and what one worker has made, all
-- of them own:
--
--     ALTER ROLE reader SET search_path = projections, comity;
--     ALTER ROLE projector SET search_path = projections, comity;
--     ALTER ROLE projector SET role = comity_projector;
--
-- All gateways should share one login: a gateway may then end the connection of another that stopped in
-- the middle of writing, which PostgreSQL allows among sessions of the same role.
-- Passwords belong into a file that `passfile` in the address names, or use certificates (`sslcert`).

-- What is there already is no news.
SET client_min_messages = warning;

SELECT format('CREATE ROLE %I NOLOGIN', wanted)
FROM unnest(ARRAY['comity_writer', 'comity_reader', 'comity_projector']) wanted
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted)
\gexec

-- Nothing by default: what is not granted below is not allowed.
REVOKE ALL ON SCHEMA :"schema" FROM PUBLIC, comity_writer, comity_reader;
REVOKE ALL ON ALL TABLES IN SCHEMA :"schema" FROM PUBLIC, comity_writer, comity_reader;

GRANT USAGE ON SCHEMA :"schema" TO comity_writer, comity_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA :"schema" TO comity_writer, comity_reader;

-- What is written once.
GRANT INSERT ON :"schema".entries, :"schema".nodes, :"schema".seals TO comity_writer;

-- What moves, and by its triggers only forwards: sizes, sequences. Locking the head is the tree lock.
GRANT INSERT, UPDATE ON :"schema".sequences TO comity_writer;
GRANT UPDATE (size, recorded_at, epoch, seals) ON :"schema".entries_head TO comity_writer;

-- What is derived lies in a schema of its own: whoever fills it can write nothing else.
-- Whoever runs this must be able to act as its owner.
GRANT comity_projector TO CURRENT_USER;
GRANT comity_reader TO comity_projector;
CREATE SCHEMA IF NOT EXISTS projections AUTHORIZATION comity_projector;
GRANT USAGE ON SCHEMA projections TO comity_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE comity_projector IN SCHEMA projections GRANT SELECT ON TABLES TO comity_reader;
