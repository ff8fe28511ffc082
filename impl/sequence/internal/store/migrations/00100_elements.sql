-- +goose Up

-- One row for each group (an element type in a scope). Whoever changes anything in a group locks its row first.
CREATE TABLE counters (
  scope        TEXT   NOT NULL,
  element_type TEXT   NOT NULL,
  last         BIGINT NOT NULL, -- the last number given; 0 while the group's first element is on its way
  PRIMARY KEY (scope, element_type)
);

-- What changes about an element. Its data stand in versions alone, so that a new number rewrites a short row.
CREATE TABLE elements (
  scope        TEXT   NOT NULL,
  element_type TEXT   NOT NULL,
  id           TEXT   NOT NULL,
  number       BIGINT NOT NULL, -- negative only inside the transaction of a reorder
  status       TEXT   NOT NULL, -- active or omitted
  version      BIGINT NOT NULL, -- the current one
  created_at   BIGINT NOT NULL,
  updated_at   BIGINT NOT NULL,
  PRIMARY KEY (scope, element_type, id)
);
CREATE UNIQUE INDEX elements_by_number ON elements (scope, element_type, number);
-- Few elements are omitted: without this, listing them would read all the others.
CREATE INDEX elements_omitted ON elements (scope, element_type, number) WHERE status = 'omitted';

-- Rows are inserted and never changed.
CREATE TABLE versions (
  scope        TEXT   NOT NULL,
  element_type TEXT   NOT NULL,
  id           TEXT   NOT NULL,
  version      BIGINT NOT NULL,
  data         BLOB   NOT NULL, -- the caller's JSON, byte for byte
  comment      TEXT,
  created_at   BIGINT NOT NULL,
  created_by   TEXT   NOT NULL,
  PRIMARY KEY (scope, element_type, id, version)
);

-- +goose Down
DROP TABLE versions;
DROP TABLE elements;
DROP TABLE counters;
