-- +goose Up
-- Who has sent a job ("service:<id>" or "user:<id>"), of which tenant, and with which roles, with blanks between them: each part is written only when they may still write the collection. Of
-- a job from before nobody knows, and it ends.
ALTER TABLE jobs ADD COLUMN sender TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN sender_tenant TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN sender_roles TEXT NOT NULL DEFAULT '';
CREATE INDEX jobs_of_states ON jobs (state);

-- +goose Down
DROP INDEX jobs_of_states;
ALTER TABLE jobs DROP COLUMN sender_roles;
ALTER TABLE jobs DROP COLUMN sender_tenant;
ALTER TABLE jobs DROP COLUMN sender;
