-- The tables of Longshore 0.1.
--
-- Times are milliseconds since 1970, by the clock of the database. Ids are the 16 bytes of a
-- UUIDv7, and texts are compared by their bytes, as Python does it. Text that may hold U+0000,
-- which PostgreSQL cannot, is escaped: see `values.kept_text`.

-- One row: how far everything has come. Whoever writes locks it first, so there is one writer
-- at a time. `version` counts the commits that wrote anything, also those without an event;
-- the columns `…_changed` hold the version that last changed a table of the small state, and
-- the column `changed` of its rows that which last changed the row.
CREATE TABLE head (
    one boolean PRIMARY KEY DEFAULT TRUE CHECK (one),
    version bigint NOT NULL,
    time bigint NOT NULL,
    revision bigint NOT NULL,
    compacted bigint NOT NULL,
    last_number bigint NOT NULL,
    last_session bigint NOT NULL,
    last_template bigint NOT NULL,
    mode smallint NOT NULL,
    resume_on_restart boolean NOT NULL,
    -- Up to this version rows of ended sessions were removed: who knows only what was before
    -- reads everything anew.
    forgotten bigint NOT NULL,
    lanes_changed bigint NOT NULL,
    sessions_changed bigint NOT NULL,
    queues_changed bigint NOT NULL,
    circles_changed bigint NOT NULL,
    services_changed bigint NOT NULL,
    contracts_changed bigint NOT NULL,
    schedules_changed bigint NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

INSERT INTO head VALUES (TRUE, 0, 0, 0, 0, 0, 0, 0, 1, TRUE, 0, 0, 0, 0, 0, 0, 0, 0);

-- The small hot rows, and what lists filter by; see `core.operations`.
CREATE TABLE operations (
    number bigint PRIMARY KEY,
    position bigint NOT NULL,
    revision bigint NOT NULL,
    create_time bigint NOT NULL,
    update_time bigint NOT NULL,
    token bigint NOT NULL DEFAULT 0,
    reports bigint NOT NULL DEFAULT 0,
    lane integer NOT NULL,
    attempt integer NOT NULL DEFAULT 0,
    step integer NOT NULL DEFAULT 0,
    steps integer NOT NULL,
    kind smallint NOT NULL,
    state smallint NOT NULL,
    priority smallint NOT NULL,
    cancel smallint NOT NULL DEFAULT 0,
    session bigint,
    wake_time bigint,
    start_time bigint,
    end_time bigint,
    id bytea NOT NULL UNIQUE,
    tenant text COLLATE "C" NOT NULL,
    submitter text COLLATE "C" NOT NULL,
    request_id text COLLATE "C" NOT NULL,
    worker text COLLATE "C",
    policy text COLLATE "C",
    message text COLLATE "C",
    concurrency_key text COLLATE "C",
    fairness_key text COLLATE "C",
    traceparent text COLLATE "C",
    attributes text COLLATE "C"
) WITH (
    fillfactor = 80,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_analyze_scale_factor = 0.05,
    autovacuum_vacuum_cost_delay = 0
);

-- What leasing reads, however long the history is.
CREATE INDEX waiting ON operations (lane, priority DESC, position)
    WHERE state = 2 AND wake_time IS NULL;

-- What runs with a concurrency key, and what waits for one; see `core.concurrency`. The wake
-- time is that of `PARKED`.
CREATE INDEX holding ON operations (tenant, concurrency_key, session)
    WHERE concurrency_key IS NOT NULL AND session IS NOT NULL;
CREATE INDEX parked ON operations (
    tenant, concurrency_key, lane, ((policy::jsonb ->> 'concurrency_limit')::bigint),
    priority DESC, position
) WHERE concurrency_key IS NOT NULL AND wake_time = 4611686018427387904;

-- Whose turn comes when; see `core.fairness`.
CREATE INDEX turns ON operations (lane, fairness_key, priority, position)
    WHERE fairness_key IS NOT NULL AND state = 2
        AND (wake_time IS NULL OR wake_time = 4611686018427387904);

-- The order in which launches start; see `core.launches`.
CREATE INDEX launches ON operations (tenant, priority DESC, position)
    WHERE kind = 3 AND state <= 3;

CREATE INDEX held ON operations (session) WHERE session IS NOT NULL;
CREATE INDEX wake ON operations (wake_time) WHERE wake_time IS NOT NULL AND state < 4;
CREATE INDEX expiring ON operations (wake_time) WHERE wake_time IS NOT NULL AND state >= 4;
CREATE INDEX expired ON operations (revision) WHERE state >= 4 AND wake_time IS NULL;

-- Large values are not compressed: that would take the writer longer than writing them.
CREATE TABLE documents (
    number bigint NOT NULL,
    part integer NOT NULL,
    data bytea STORAGE EXTERNAL NOT NULL,
    PRIMARY KEY (number, part)
) WITH (
    fillfactor = 90,
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_cost_delay = 0
);

-- The tenant stands with events that have no operation, which are told to other servers only.
CREATE TABLE events (
    revision bigint PRIMARY KEY,
    number bigint NOT NULL,
    time bigint NOT NULL,
    kind smallint NOT NULL,
    state smallint NOT NULL,
    tenant text COLLATE "C",
    detail text COLLATE "C",
    origin text COLLATE "C"
) WITH (autovacuum_analyze_scale_factor = 0.05);
CREATE INDEX history ON events (number, revision);

-- Only who sends a key pays for it. An operation has up to two: see `core.lifecycle`.
CREATE TABLE keys (
    tenant text COLLATE "C" NOT NULL,
    submitter text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    digest bytea NOT NULL,
    PRIMARY KEY (tenant, submitter, key)
);
CREATE INDEX keys_of ON keys (number);

-- What operations take and have made; see `core.files`. What is in them is kept elsewhere.
CREATE TABLE files (
    id bytea PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    blob bytea NOT NULL,
    path text COLLATE "C" NOT NULL,
    size bigint NOT NULL,
    sha256 bytea NOT NULL,
    content_type text COLLATE "C" NOT NULL,
    content_encoding text COLLATE "C" NOT NULL,
    content_disposition text COLLATE "C" NOT NULL,
    create_time bigint NOT NULL,
    expire_time bigint,
    number bigint,
    step integer NOT NULL,
    token bigint NOT NULL
);
CREATE INDEX files_of ON files (number) WHERE number IS NOT NULL;
CREATE INDEX files_due ON files (expire_time) WHERE expire_time IS NOT NULL;

CREATE TABLE uses (
    file bytea NOT NULL,
    number bigint NOT NULL,
    PRIMARY KEY (file, number)
);
CREATE INDEX uses_of ON uses (number);

-- Blobs that no file has: announced, or to be removed.
CREATE TABLE blobs (
    blob bytea PRIMARY KEY,
    until bigint NOT NULL
);
CREATE INDEX blobs_due ON blobs (until);

-- What has ended and whose result was not acknowledged; see `core.deliveries`.
CREATE TABLE channels (
    number bigint PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    stream text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    end_time bigint NOT NULL
);
CREATE INDEX arrivals ON channels (tenant, stream, revision);

-- Of operations that have not expired.
CREATE TABLE counts (
    lane integer NOT NULL,
    kind smallint NOT NULL,
    state smallint NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (lane, kind, state)
) WITH (
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000
);

CREATE TABLE lanes (
    number integer PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    queue text COLLATE "C" NOT NULL,
    actions text NOT NULL,
    changed bigint NOT NULL
);
CREATE INDEX lanes_changed ON lanes (changed);

-- Those that have ended stay for a while, so that other servers learn of it.
CREATE TABLE sessions (
    number bigint PRIMARY KEY,
    secret bytea NOT NULL,
    epoch bigint NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    worker text COLLATE "C" NOT NULL,
    queues text NOT NULL,
    offers text NOT NULL,
    slots bigint NOT NULL,
    open_time bigint NOT NULL,
    ended boolean NOT NULL,
    changed bigint NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX sessions_changed ON sessions (changed);

-- When a server was last heard of that has the stream of a session. Session 0 stands for all
-- of them: `since` is when servers began to be heard of without a long pause. A crash of the
-- database empties both tables, which is a pause as well.
CREATE UNLOGGED TABLE heartbeats (
    session bigint PRIMARY KEY,
    time bigint NOT NULL,
    since bigint NOT NULL
) WITH (fillfactor = 70);

-- When each server was last heard of.
CREATE UNLOGGED TABLE servers (
    id bytea PRIMARY KEY,
    time bigint NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE services (
    tenant text COLLATE "C" NOT NULL,
    slug text COLLATE "C" NOT NULL,
    document bytea NOT NULL,
    PRIMARY KEY (tenant, slug)
);

CREATE TABLE queues (
    tenant text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    paused_by text,
    pause_time bigint,
    "limit" bigint NOT NULL,
    changed bigint NOT NULL,
    PRIMARY KEY (tenant, name)
);

-- Where fairness keys are in use; see `core.rows.Head`.
CREATE TABLE circles (
    tenant text COLLATE "C" NOT NULL,
    queue text COLLATE "C" NOT NULL,
    priority smallint NOT NULL,
    plain bigint NOT NULL,
    changed bigint NOT NULL,
    PRIMARY KEY (tenant, queue, priority)
);

CREATE TABLE contracts (
    tenant text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    document bytea NOT NULL,
    templates text NOT NULL,
    PRIMARY KEY (tenant, name)
);

CREATE TABLE schedules (
    tenant text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    document bytea NOT NULL,
    principal text NOT NULL,
    next_time bigint,
    last_id bytea,
    stream text NOT NULL,
    PRIMARY KEY (tenant, name)
);

CREATE TABLE accounts (
    tenant text COLLATE "C" NOT NULL,
    principal text COLLATE "C" NOT NULL,
    service text COLLATE "C" NOT NULL,
    username text COLLATE "C" NOT NULL,
    create_time bigint NOT NULL,
    PRIMARY KEY (tenant, principal, service, username)
);
