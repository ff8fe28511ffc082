-- +goose Up

-- The steps whose codes were accepted of nobody who can be told again, in the row that is changed anyway: such a code writes no row of its own in used_steps. Runs of
-- steps as package totp encodes them; NULL is none.
ALTER TABLE factors ADD COLUMN spent BLOB;

-- +goose Down
ALTER TABLE factors DROP COLUMN spent;
