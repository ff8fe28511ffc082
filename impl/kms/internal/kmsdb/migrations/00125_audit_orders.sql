-- +goose Up
-- Which events of another service's audit trail are in an archive and are to be removed: the service fetches it, and judges it by its own key.
CREATE TABLE audit_orders (
  service      TEXT PRIMARY KEY,
  after_seq    BIGINT NOT NULL, -- number of the event after which the archive begins
  seq          BIGINT NOT NULL, -- of the last event that is to be removed
  hash         BLOB   NOT NULL, -- this and the three below are the checkpoint at the archive's end
  signed_at    BIGINT NOT NULL,
  public_key   BLOB   NOT NULL,
  signature    BLOB   NOT NULL,
  ordered_by   TEXT   NOT NULL, -- id of the administrator
  ordered_at   BIGINT NOT NULL
);

-- +goose Down
DROP TABLE audit_orders;
