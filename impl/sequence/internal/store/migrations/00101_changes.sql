-- +goose Up

-- One row for each scope. Whoever changes anything in a scope advances its row after the work and keeps it locked until the commit: so positions
-- have no gap, and a later one is never committed before an earlier one, whichever replica gives it.
CREATE TABLE feeds (
  scope TEXT   NOT NULL PRIMARY KEY,
  last  BIGINT NOT NULL -- the last position given
);

-- Rows are inserted and never changed.
CREATE TABLE changes (
  scope        TEXT   NOT NULL,
  position     BIGINT NOT NULL,
  kind         TEXT   NOT NULL, -- created, revised, omitted, restored or reordered
  element_type TEXT   NOT NULL,
  id           TEXT   NOT NULL, -- of the element; empty: reordered
  version      BIGINT NOT NULL,
  number       BIGINT NOT NULL,
  numbers      BLOB,            -- reordered: who got which number, as JSON
  at           BIGINT NOT NULL,
  actor        TEXT   NOT NULL,
  PRIMARY KEY (scope, position)
);

-- What is known of the past: creations and versions, then what is omitted now, by whom is not known. Numbers are those of now.
INSERT INTO changes (scope, position, kind, element_type, id, version, number, at, actor)
SELECT scope, ROW_NUMBER() OVER (PARTITION BY scope ORDER BY turn, at, element_type, number, version), kind, element_type, id, version, number, at, actor
FROM (
  SELECT 1 AS turn, v.scope, CASE WHEN v.version = 1 THEN 'created' ELSE 'revised' END AS kind, v.element_type, v.id, v.version, e.number, v.created_at AS at,
    v.created_by AS actor
  FROM versions v JOIN elements e ON e.scope = v.scope AND e.element_type = v.element_type AND e.id = v.id
  UNION ALL
  SELECT 2, scope, 'omitted', element_type, id, version, number, updated_at, '' FROM elements WHERE status = 'omitted'
) AS past;

INSERT INTO feeds (scope, last) SELECT scope, COUNT(*) FROM changes GROUP BY scope;

-- +goose Down
DROP TABLE changes;
DROP TABLE feeds;
