-- Who may do what with the log in PostgreSQL. Run it as the owner of the database, after `comity init`
-- has made the tables, and again after an upgrade; it may be run any number of times:
--
--     psql -d comity -v ON_ERROR_STOP=1 -v schema=comity -f roles.sql
--
-- comity_writer   gateways, ingest workers: they append; nobody who runs has UPDATE or DELETE on the log
-- comity_reader   relays, projections, oversight, backups: they read
--
-- Neither logs in. Make one login for each service, and give it one of the two:
--
--     CREATE ROLE gateway LOGIN IN ROLE comity_writer;
--
-- All gateways should share one login: a gateway may then end the connection of another that stopped in
-- the middle of writing, which PostgreSQL allows among sessions of the same role.
-- Passwords belong into a file that `passfile` in the address names, or use certificates (`sslcert`).

SELECT format('CREATE ROLE %I NOLOGIN', wanted)
FROM unnest(ARRAY['comity_writer', 'comity_reader']) wanted
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
