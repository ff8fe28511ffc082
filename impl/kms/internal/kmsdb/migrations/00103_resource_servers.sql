-- +goose Up

-- What others may do at a registered service, its resource server: <name>:<verb>. scopes is what the service itself may do at others.
CREATE TABLE declared_scopes (
  scope TEXT PRIMARY KEY,
  service_id TEXT NOT NULL REFERENCES services (id)
);
CREATE INDEX declared_scopes_service ON declared_scopes (service_id);

-- A deleted service's row stays, so that the name never means another one.
ALTER TABLE services ADD COLUMN deleted_at BIGINT;

-- The roles that administrators have defined; those of the release are in the program.
CREATE TABLE roles (
  name TEXT PRIMARY KEY,
  scopes TEXT NOT NULL,
  version BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);

-- '' is the default tenant. It is set when the row is made, and never changed.
ALTER TABLE users ADD COLUMN tenant TEXT NOT NULL DEFAULT '';
ALTER TABLE services ADD COLUMN tenant TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN tenant TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE api_keys DROP COLUMN tenant;
ALTER TABLE services DROP COLUMN tenant;
ALTER TABLE users DROP COLUMN tenant;
DROP TABLE roles;
ALTER TABLE services DROP COLUMN deleted_at;
DROP TABLE declared_scopes;
