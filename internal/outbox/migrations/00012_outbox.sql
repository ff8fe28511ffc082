-- +goose Up
CREATE TABLE outbox (
  topic       TEXT   NOT NULL,
  key         TEXT   NOT NULL, -- what changed; a later change of the same replaces the row's payload
  payload     BLOB   NOT NULL,
  version     BIGINT NOT NULL, -- grows with every change
  lease       TEXT   NOT NULL, -- the delivery at work; empty: none
  due_at      BIGINT NOT NULL, -- not before then: the end of the lease, or of the pause after a failure
  attempts    BIGINT NOT NULL, -- failed deliveries
  enqueued_at BIGINT NOT NULL, -- of the oldest change not delivered
  PRIMARY KEY (topic, key)
);
CREATE INDEX outbox_enqueued_at ON outbox (enqueued_at);
CREATE INDEX outbox_lease ON outbox (lease) WHERE lease <> '';

-- +goose Down
DROP TABLE outbox;
