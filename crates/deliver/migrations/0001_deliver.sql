CREATE TABLE deliver_environment (
  name TEXT PRIMARY KEY,
  place BIGINT NOT NULL
);

INSERT INTO deliver_environment (name, place) VALUES ('dev', 1), ('staging', 2), ('prod', 3);

CREATE TABLE deliver_source (
  id TEXT PRIMARY KEY,
  service TEXT NOT NULL,
  commit_id TEXT,
  message TEXT NOT NULL,
  author TEXT NOT NULL,
  bytes BIGINT NOT NULL,
  created BIGINT NOT NULL,
  actor TEXT NOT NULL,
  stored BIGINT NOT NULL
);

CREATE INDEX deliver_source_stored ON deliver_source (stored, created);

CREATE TABLE deliver_build (
  id TEXT PRIMARY KEY,
  service TEXT NOT NULL,
  environment TEXT NOT NULL,
  source TEXT NOT NULL,
  job TEXT,
  state TEXT NOT NULL,
  reason TEXT NOT NULL,
  since BIGINT NOT NULL,
  recipe TEXT,
  evidence TEXT NOT NULL,
  lines TEXT NOT NULL,
  artifact TEXT,
  release_number BIGINT,
  rollout TEXT,
  task TEXT,
  task_kept BIGINT NOT NULL,
  log_saved BIGINT NOT NULL,
  created BIGINT NOT NULL,
  ended BIGINT,
  actor TEXT NOT NULL
);

CREATE INDEX deliver_build_service ON deliver_build (service, id);
CREATE INDEX deliver_build_source ON deliver_build (source);
CREATE INDEX deliver_build_state ON deliver_build (state);
CREATE INDEX deliver_build_rollout ON deliver_build (rollout);

CREATE TABLE deliver_stage (
  build TEXT NOT NULL,
  place BIGINT NOT NULL,
  stage TEXT NOT NULL,
  text TEXT NOT NULL,
  at BIGINT NOT NULL,
  took_ms BIGINT,
  PRIMARY KEY (build, place)
);

CREATE TABLE deliver_artifact (
  digest TEXT PRIMARY KEY,
  config TEXT NOT NULL,
  layer TEXT NOT NULL
);

CREATE TABLE deliver_blob (
  hex TEXT PRIMARY KEY,
  written BIGINT NOT NULL
);

CREATE TABLE deliver_release (
  id TEXT PRIMARY KEY,
  service TEXT NOT NULL,
  number BIGINT NOT NULL,
  artifact TEXT NOT NULL,
  source TEXT NOT NULL,
  recipe TEXT NOT NULL,
  manifest TEXT NOT NULL,
  commit_id TEXT,
  message TEXT NOT NULL,
  author TEXT NOT NULL,
  created BIGINT NOT NULL,
  actor TEXT NOT NULL,
  UNIQUE (service, number)
);

CREATE TABLE deliver_rollout (
  id TEXT PRIMARY KEY,
  service TEXT NOT NULL,
  environment TEXT NOT NULL,
  release_id TEXT NOT NULL,
  number BIGINT NOT NULL,
  cause TEXT NOT NULL,
  why TEXT NOT NULL,
  state TEXT NOT NULL,
  step BIGINT NOT NULL,
  reason TEXT NOT NULL,
  evidence TEXT NOT NULL,
  since BIGINT NOT NULL,
  next TEXT NOT NULL,
  deadline BIGINT,
  before_rollout TEXT,
  crashes BIGINT NOT NULL,
  fault TEXT,
  cancel_by TEXT,
  settings TEXT NOT NULL,
  created BIGINT NOT NULL,
  ended BIGINT,
  actor TEXT NOT NULL,
  version BIGINT NOT NULL
);

CREATE INDEX deliver_rollout_service ON deliver_rollout (service, id);
CREATE INDEX deliver_rollout_place ON deliver_rollout (service, environment, id);
CREATE INDEX deliver_rollout_open ON deliver_rollout (id) WHERE ended IS NULL;

CREATE TABLE deliver_rollout_step (
  rollout TEXT NOT NULL,
  place BIGINT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (rollout, place)
);

CREATE TABLE deliver_current (
  service TEXT NOT NULL,
  environment TEXT NOT NULL,
  rollout TEXT NOT NULL,
  since BIGINT NOT NULL,
  stopped BIGINT NOT NULL,
  PRIMARY KEY (service, environment)
);
