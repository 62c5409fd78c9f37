-- Everything that happened, in one order without gaps. Rows are never changed or deleted.
CREATE TABLE fact (
    seq BIGINT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    generation BIGINT NOT NULL,
    actor TEXT NOT NULL,
    cause TEXT,
    at BIGINT NOT NULL,
    body TEXT NOT NULL,
    hash TEXT NOT NULL
);
CREATE INDEX fact_by_kind ON fact (kind, seq);
CREATE INDEX fact_by_kind_subject ON fact (kind, subject, seq);
CREATE INDEX fact_by_subject ON fact (subject, seq);

-- The newest fact of each kind and subject: the public state.
CREATE TABLE fact_head (
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (kind, subject)
);

-- One row: the end of the chain, sealed with the audit key.
CREATE TABLE fact_chain (
    id BIGINT NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL,
    hash TEXT NOT NULL,
    mac TEXT NOT NULL
);
