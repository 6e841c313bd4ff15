-- The first schema. Ids are 16 bytes, times are milliseconds since 1970 UTC, JSON is text.

CREATE TABLE teams (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16)
) STRICT;

INSERT INTO teams (id) VALUES (randomblob(16));

CREATE TABLE apps (
    id          BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    team_id     BLOB    NOT NULL REFERENCES teams (id),
    name        TEXT    NOT NULL,
    slug        TEXT    NOT NULL UNIQUE,
    description TEXT    NOT NULL,
    vault_id    BLOB    REFERENCES vaults (id) ON DELETE SET NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT;

-- Deleting a vault looks for the app that designates it.
CREATE INDEX apps_by_vault ON apps (vault_id) WHERE vault_id IS NOT NULL;

CREATE TABLE api_keys (
    id          BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    app_id      BLOB    NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    name        TEXT    NOT NULL,
    secret_hash BLOB    NOT NULL CHECK (length(secret_hash) = 32),
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER,
    revoked_at  INTEGER
) STRICT;

CREATE INDEX api_keys_by_app ON api_keys (app_id, id);

CREATE TABLE vaults (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    app_id     BLOB    NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    name       TEXT    NOT NULL,
    metadata   TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (app_id, name)
) STRICT;

-- A KEK must be known before anything can be wrapped with it.
CREATE TABLE keks (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    canary     BLOB    NOT NULL,
    wraps      INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- The ciphertexts come last, so that a listing need not read past them.
CREATE TABLE secrets (
    vault_id   BLOB    NOT NULL REFERENCES vaults (id) ON DELETE CASCADE,
    name       TEXT    NOT NULL,
    version    INTEGER NOT NULL CHECK (version >= 1),
    kek_id     BLOB    NOT NULL REFERENCES keks (id),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    wrapped    BLOB    NOT NULL,
    payload    BLOB    NOT NULL,
    UNIQUE (vault_id, name)
) STRICT;

CREATE INDEX secrets_by_kek ON secrets (kek_id);

CREATE TABLE audit (
    seq            INTEGER NOT NULL PRIMARY KEY,
    id             BLOB    NOT NULL,
    created_at     INTEGER NOT NULL,
    app_id         BLOB,
    actor          TEXT    NOT NULL,
    api_key_id     BLOB,
    tool           TEXT,
    tool_digest    TEXT,
    action         TEXT    NOT NULL,
    subject_kind   TEXT,
    subject_id     TEXT,
    session_id     TEXT,
    request_id     TEXT,
    outcome        TEXT    NOT NULL,
    detail         TEXT    NOT NULL,
    secret_version INTEGER,
    payload_digest BLOB,
    prev_hash      BLOB    NOT NULL,
    hash           BLOB    NOT NULL
) STRICT;

CREATE INDEX audit_by_app ON audit (app_id, seq);
