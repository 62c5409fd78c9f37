CREATE TABLE IF NOT EXISTS store_migration (
    capability TEXT NOT NULL,
    number BIGINT NOT NULL,
    name TEXT NOT NULL,
    checksum TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (capability, number)
);
