-- Answers that are given again when the same request comes again.
CREATE TABLE idempotency (
    actor TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    request_key TEXT NOT NULL,
    request_digest TEXT NOT NULL,
    status BIGINT NOT NULL,
    body TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (actor, endpoint, request_key)
);
CREATE INDEX idempotency_by_age ON idempotency (at);
