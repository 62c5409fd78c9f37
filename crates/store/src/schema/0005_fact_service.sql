-- Which service each fact is about, whatever its subject; '' where it is about none. What happened to
-- one service is found without reading what happened to all.
CREATE TABLE fact_service (
    seq BIGINT NOT NULL PRIMARY KEY,
    service TEXT NOT NULL
);
CREATE INDEX fact_service_by_service ON fact_service (service, seq);
