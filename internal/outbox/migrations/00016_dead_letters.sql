-- +goose Up
-- Messages that are no longer tried: their last failure was final, or they failed too often.
CREATE TABLE outbox_dead_letters (
  topic       TEXT   NOT NULL,
  key         TEXT   NOT NULL,
  payload     BLOB   NOT NULL,
  reason      TEXT   NOT NULL, -- a word for people and programs, never the text of an error
  attempts    BIGINT NOT NULL,
  enqueued_at BIGINT NOT NULL, -- of the oldest change in it
  failed_at   BIGINT NOT NULL, -- when it was given up
  PRIMARY KEY (topic, key)
);
-- Messages that wait for a later time must not be read to find those that are due.
CREATE INDEX outbox_due_at ON outbox (due_at, enqueued_at, topic, key);

-- +goose Down
DROP INDEX outbox_due_at;
DROP TABLE outbox_dead_letters;
