CREATE TABLE route_host (
  host TEXT PRIMARY KEY,
  service TEXT NOT NULL,
  environment TEXT NOT NULL,
  since BIGINT NOT NULL
);

CREATE TABLE route_snapshot (
  id BIGINT PRIMARY KEY,
  generation BIGINT NOT NULL,
  content TEXT NOT NULL
);
