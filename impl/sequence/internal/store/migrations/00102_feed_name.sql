-- +goose Up

-- The name of the database's feeds: another one follows a restore, after which positions are given again. Empty: the service names them at its next start.
CREATE TABLE feed_name (
  id   BIGINT NOT NULL PRIMARY KEY, -- 1
  name TEXT   NOT NULL
);
INSERT INTO feed_name (id, name) VALUES (1, '');

-- +goose Down
DROP TABLE feed_name;
