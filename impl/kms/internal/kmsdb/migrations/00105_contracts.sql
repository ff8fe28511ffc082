-- +goose Up

-- The contracts of adopted services. version is that of contract_room when the row was last written.
CREATE TABLE contracts (
  name TEXT PRIMARY KEY,
  service_id TEXT NOT NULL UNIQUE REFERENCES services (id),
  version BIGINT NOT NULL,
  upstreams TEXT NOT NULL,
  active_content BIGINT NOT NULL,
  created_at BIGINT NOT NULL
);

-- The live document of a contract (shadow 0), and the one beside it (shadow 1). files, public, warnings and changes are JSON.
CREATE TABLE contract_documents (
  name TEXT NOT NULL REFERENCES contracts (name),
  shadow BIGINT NOT NULL CHECK (shadow IN (0, 1)),
  file TEXT NOT NULL,
  files TEXT NOT NULL,
  public TEXT NOT NULL,
  digest TEXT NOT NULL,
  document_version TEXT NOT NULL,
  warnings TEXT NOT NULL,
  warning_count BIGINT NOT NULL,
  changes TEXT NOT NULL,
  change_count BIGINT NOT NULL,
  size BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  updated_by TEXT NOT NULL,
  PRIMARY KEY (name, shadow)
);

-- What all contracts take together, and the last version given out: one sequence for all, so that none comes again when a service is adopted again.
CREATE TABLE contract_room (
  id BIGINT PRIMARY KEY CHECK (id = 1),
  contracts BIGINT NOT NULL CHECK (contracts >= 0),
  bytes BIGINT NOT NULL CHECK (bytes >= 0),
  version BIGINT NOT NULL
);
INSERT INTO contract_room (id, contracts, bytes, version) VALUES (1, 0, 0, 0);

-- +goose Down
DROP TABLE contract_room;
DROP TABLE contract_documents;
DROP TABLE contracts;
