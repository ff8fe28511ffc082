-- +goose Up

-- Long moves that are shown: one element has a far place, and those between have moved by one place each. Their numbers follow in small transactions, from the end at which the element has
-- left, and low and high close up behind them. The group has a row of reorders, too, which is never silent: so nobody else changes the order, and a release without this table leaves it alone.
CREATE TABLE shifts (
  scope        TEXT   NOT NULL,
  element_type TEXT   NOT NULL,
  id           TEXT   NOT NULL, -- of the reorder
  shown_at     BIGINT NOT NULL,
  moved_id     TEXT   NOT NULL, -- the element; the number in its row is negative
  moved_to     BIGINT NOT NULL, -- its number
  low          BIGINT NOT NULL, -- elements whose rows have a number from low to high have it by step more
  high         BIGINT NOT NULL,
  step         BIGINT NOT NULL, -- 1 or -1
  touched_at   BIGINT NOT NULL, -- when it last wrote
  PRIMARY KEY (scope, element_type)
);

-- +goose Down
DROP TABLE shifts;
