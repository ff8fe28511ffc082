-- +goose Up
-- versioned is 1 for a collection that keeps a version of each of its documents, from its creation on; document_version is the last one that was given there.
ALTER TABLE collections ADD COLUMN versioned        BIGINT NOT NULL DEFAULT 0;
ALTER TABLE collections ADD COLUMN document_version BIGINT NOT NULL DEFAULT 0;

-- collection is the tenant, the name and the time of the claim of a collection, with strokes between them. version is 0 of a document that is not there. Whoever has the lease writes the document, which has the version next then; where next is above 0 and there is no lease any more, nobody
-- knows whether it was written. writer marks whoever has written it last, or is about to, if they can come again. settled_at is when it was written last.
CREATE TABLE document_versions (
    collection   TEXT   NOT NULL,
    document     TEXT   NOT NULL,
    version      BIGINT NOT NULL,
    next         BIGINT NOT NULL,
    writer       TEXT   NOT NULL,
    lease        TEXT   NOT NULL,
    leased_until BIGINT NOT NULL,
    settled_at   BIGINT NOT NULL,
    PRIMARY KEY (collection, document)
);
CREATE INDEX document_versions_of_none ON document_versions (settled_at) WHERE version = 0;

-- +goose Down
DROP TABLE document_versions;
ALTER TABLE collections DROP COLUMN document_version;
ALTER TABLE collections DROP COLUMN versioned;
