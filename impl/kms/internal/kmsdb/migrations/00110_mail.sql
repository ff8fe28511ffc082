-- +goose Up

-- Where a user gets mails about the account. email_key is the same for all spellings of one mailbox; no two users have the same.
ALTER TABLE users ADD COLUMN email TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN email_key TEXT;
CREATE UNIQUE INDEX users_email_key ON users (email_key);

-- Mails to people about their account. sealed is the address and the token of the link, until the mail was sent or is given up.
CREATE TABLE mails (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  user_id TEXT NOT NULL REFERENCES users (id),
  sealed BLOB,
  masked TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('waiting', 'sent', 'failed')),
  reason TEXT NOT NULL DEFAULT '',
  tries BIGINT NOT NULL DEFAULT 0,
  lease TEXT NOT NULL DEFAULT '',
  due_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX mails_due ON mails (status, due_at);
CREATE INDEX mails_user ON mails (user_id, kind, created_at);
CREATE INDEX mails_expiry ON mails (expires_at);

-- When somebody who sends mails last asked for some.
CREATE TABLE mail_carrier (
  id BIGINT PRIMARY KEY CHECK (id = 1),
  seen_at BIGINT NOT NULL
);
INSERT INTO mail_carrier (id, seen_at) VALUES (1, 0);

-- Logins for which a new password was asked, until somebody looks whose they are. asked is a MAC of the login, sealed the login: people type passwords there.
CREATE TABLE reset_requests (
  asked BLOB PRIMARY KEY,
  sealed BLOB NOT NULL,
  created_at BIGINT NOT NULL
);

-- +goose Down
DROP TABLE reset_requests;
DROP TABLE mail_carrier;
DROP TABLE mails;
DROP INDEX users_email_key;
ALTER TABLE users DROP COLUMN email_key;
ALTER TABLE users DROP COLUMN email;
