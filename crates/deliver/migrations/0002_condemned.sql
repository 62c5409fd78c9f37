-- Objects that nothing needs any more, by their keys; each is deleted only after a delay.
CREATE TABLE deliver_condemned (
    object_key TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    since BIGINT NOT NULL
);
CREATE INDEX deliver_condemned_by_kind ON deliver_condemned (kind);
