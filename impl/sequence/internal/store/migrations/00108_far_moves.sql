-- +goose Up

-- Of a move over more elements than are named one by one: those with numbers from one to another have them by so much more, as JSON. NULL otherwise.
ALTER TABLE changes ADD COLUMN shifted TEXT;

-- +goose Down
ALTER TABLE changes DROP COLUMN shifted;
