-- +goose Up

-- metadata is a JSON object of words, '' for none. rate_limit uses in rate_window seconds; 0: no limit. uses is written in batches.
ALTER TABLE api_keys ADD COLUMN metadata TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN rate_limit BIGINT NOT NULL DEFAULT 0;
ALTER TABLE api_keys ADD COLUMN rate_window BIGINT NOT NULL DEFAULT 0;
ALTER TABLE api_keys ADD COLUMN uses BIGINT NOT NULL DEFAULT 0;
ALTER TABLE api_keys ADD COLUMN version BIGINT NOT NULL DEFAULT 1;

-- +goose Down
ALTER TABLE api_keys DROP COLUMN version;
ALTER TABLE api_keys DROP COLUMN uses;
ALTER TABLE api_keys DROP COLUMN rate_window;
ALTER TABLE api_keys DROP COLUMN rate_limit;
ALTER TABLE api_keys DROP COLUMN metadata;
