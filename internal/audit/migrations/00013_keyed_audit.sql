-- +goose Up
-- First, since every append takes the head first: on PostgreSQL this waits for those of a replica that still runs, and holds up the next. What they wrote is
-- in the copy below.
ALTER TABLE audit_head ADD COLUMN key_id BIGINT NOT NULL DEFAULT 0; -- the key in use; 0: none yet
ALTER TABLE audit_head ADD COLUMN mac BLOB;                         -- of seq and hash

-- Each event gets a sum under a sealed key. What finds an event is its number: the chain needs neither the hash before, which is that of the
-- event before, nor indexes that cost every change a fifth of its time.
CREATE TABLE audit_events_keyed (
  seq    BIGINT PRIMARY KEY,
  at     BIGINT NOT NULL, -- this and the three below repeat what body says, for searches
  action TEXT   NOT NULL,
  actor  TEXT   NOT NULL,
  target TEXT   NOT NULL,
  body   BLOB   NOT NULL, -- the event as JSON: these bytes are what is hashed
  hash   BLOB   NOT NULL, -- covers the hash of the event before
  mac    BLOB             -- of the number and the hash; none for events from before there was a key
);
INSERT INTO audit_events_keyed (seq, at, action, actor, target, body, hash) SELECT seq, at, action, actor, target, body, hash FROM audit_events ORDER BY seq;
DROP TABLE audit_events;
ALTER TABLE audit_events_keyed RENAME TO audit_events;

CREATE TABLE audit_keys (
  id     BIGINT PRIMARY KEY, -- 1 for the first
  first  BIGINT NOT NULL,    -- number of the first event under it
  prev   BLOB   NOT NULL,    -- hash of the event before that
  sealed BLOB   NOT NULL     -- bound to the three above
);

CREATE TABLE audit_pending ( -- what happened while no key could be had; the next key begins with it
  id   BIGINT PRIMARY KEY,
  body BLOB NOT NULL
);

-- +goose Down
DROP TABLE audit_pending;
DROP TABLE audit_keys;
ALTER TABLE audit_head DROP COLUMN mac;
ALTER TABLE audit_head DROP COLUMN key_id;
ALTER TABLE audit_events DROP COLUMN mac;
