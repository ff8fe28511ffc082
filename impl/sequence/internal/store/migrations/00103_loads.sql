-- +goose Up

-- Scopes that an import fills. Their elements, versions and changes are there already and nobody sees them: every read leaves out what is of a scope in this table, and
-- nobody else changes anything in it. The import's last transaction takes the row away; where an import fails, its rows go first, in small steps.
CREATE TABLE scope_loads (
  scope      TEXT    NOT NULL PRIMARY KEY,
  id         TEXT    NOT NULL, -- of the import
  ended      BOOLEAN NOT NULL, -- it has failed, and its rows are taken away
  touched_at BIGINT  NOT NULL  -- when it last wrote
);

-- What the scopes that were imported were made of.
CREATE TABLE scope_origins (
  scope  TEXT   NOT NULL PRIMARY KEY,
  sha256 TEXT   NOT NULL, -- of the file's lines but the last
  at     BIGINT NOT NULL,
  actor  TEXT   NOT NULL
);

-- Scopes whose elements are marked as changed for search, some at a time, and up to which element they are.
CREATE TABLE search_walks (
  scope        TEXT   NOT NULL PRIMARY KEY,
  element_type TEXT   NOT NULL,
  element_id   TEXT   NOT NULL
);

-- +goose Down
DROP TABLE search_walks;
DROP TABLE scope_origins;
DROP TABLE scope_loads;
