CREATE TABLE run_instance (
  id TEXT PRIMARY KEY,
  service TEXT NOT NULL,
  environment TEXT NOT NULL,
  rollout TEXT NOT NULL,
  release_id TEXT NOT NULL,
  process TEXT NOT NULL,
  generation BIGINT NOT NULL,
  stop_ms BIGINT NOT NULL,
  state TEXT NOT NULL,
  crashed BIGINT NOT NULL,
  created BIGINT NOT NULL,
  stopping BIGINT,
  ended BIGINT
);

CREATE INDEX run_instance_place ON run_instance (service, environment);

CREATE TABLE run_tally (
  rollout TEXT NOT NULL,
  process TEXT NOT NULL,
  crashes BIGINT NOT NULL,
  last_crash BIGINT NOT NULL,
  PRIMARY KEY (rollout, process)
);
