-- A push that may move its ref and is not deployed yet: what is left here by a control plane that ended
-- is deployed by the next one.
CREATE TABLE deliver_landing (
  service TEXT NOT NULL,
  reference TEXT NOT NULL,
  commit_id TEXT NOT NULL,
  message TEXT NOT NULL,
  author TEXT NOT NULL,
  actor TEXT NOT NULL,
  created BIGINT NOT NULL,
  PRIMARY KEY (service, reference, commit_id)
);
CREATE INDEX deliver_source_service ON deliver_source (service, created);
