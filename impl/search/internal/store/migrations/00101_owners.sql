-- +goose Up
-- Whose a collection is. One that has no row is an administrators' one until it gets it; made is 0 until the engine has made it.
CREATE TABLE collections (
    tenant        TEXT   NOT NULL,
    name          TEXT   NOT NULL,
    owner         TEXT   NOT NULL,
    tenant_scoped BIGINT NOT NULL,
    made          BIGINT NOT NULL,
    claimed_at    BIGINT NOT NULL,
    PRIMARY KEY (tenant, name)
);

CREATE TABLE collection_grants (
    tenant     TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    grantee    TEXT   NOT NULL,
    access     BIGINT NOT NULL,
    granted_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, name, grantee)
);

-- +goose Down
DROP TABLE collection_grants;
DROP TABLE collections;
