-- +goose Up

-- How the numbers of a group are written, and the last one given: advanced in the transaction that inserts the elements.
CREATE TABLE number_formats (
  scope        TEXT   NOT NULL,
  element_type TEXT   NOT NULL,
  prefix       TEXT   NOT NULL,
  padding      BIGINT NOT NULL, -- digits
  resets       TEXT   NOT NULL, -- never, year, month or day
  time_zone    TEXT   NOT NULL, -- of the IANA's database
  period       TEXT   NOT NULL, -- of the last number
  last         BIGINT NOT NULL, -- in that period; 0 before the first
  PRIMARY KEY (scope, element_type)
);

ALTER TABLE elements ADD COLUMN formatted TEXT; -- NULL: the group had no format
CREATE UNIQUE INDEX elements_by_formatted ON elements (scope, element_type, formatted) WHERE formatted IS NOT NULL;

-- +goose Down
DROP INDEX elements_by_formatted;
ALTER TABLE elements DROP COLUMN formatted;
DROP TABLE number_formats;
