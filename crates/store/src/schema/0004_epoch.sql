-- Which control plane leads: each that starts takes the next number, and older ones may change nothing.
CREATE TABLE store_epoch (
    id BIGINT PRIMARY KEY,
    epoch BIGINT NOT NULL
);
