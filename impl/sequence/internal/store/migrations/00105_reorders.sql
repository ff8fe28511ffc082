-- +goose Up

-- Groups whose order a long reorder or move changes. Its rows of reorder_moves are written in small transactions while shown_at is 0, when nobody sees them. One
-- update of this row shows them all. From then on they are what counts, and the numbers of elements follow in small transactions.
CREATE TABLE reorders (
  scope        TEXT    NOT NULL,
  element_type TEXT    NOT NULL,
  id           TEXT    NOT NULL, -- of the reorder
  shown_at     BIGINT  NOT NULL, -- 0: not yet
  ended        BOOLEAN NOT NULL, -- it was given up before it was shown, and its rows are taken away
  negated      BIGINT  NOT NULL, -- the elements that get a number up to this one have left their old number
  touched_at   BIGINT  NOT NULL, -- when it last wrote
  PRIMARY KEY (scope, element_type)
);

CREATE TABLE reorder_moves (
  scope        TEXT   NOT NULL,
  element_type TEXT   NOT NULL,
  id           TEXT   NOT NULL, -- of the element
  number       BIGINT NOT NULL, -- its new one
  PRIMARY KEY (scope, element_type, id)
);
CREATE UNIQUE INDEX reorder_moves_by_number ON reorder_moves (scope, element_type, number);

-- +goose Down
DROP TABLE reorder_moves;
DROP TABLE reorders;
