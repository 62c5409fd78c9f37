CREATE TABLE IF NOT EXISTS store_migration (
    capability TEXT NOT NULL,
    number BIGINT NOT NULL,
    name TEXT NOT NULL,
    checksum TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (capability, number)
);
-- Those that a version which does not know them can work with: it ignores them instead of refusing.
CREATE TABLE IF NOT EXISTS store_compatible (
    capability TEXT NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (capability, number)
);
