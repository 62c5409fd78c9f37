-- breaks the version before: it keeps its routes in route_snapshot, which is gone.
CREATE TABLE route_route (
  service TEXT NOT NULL,
  environment TEXT NOT NULL,
  generation BIGINT NOT NULL,
  content TEXT,
  PRIMARY KEY (service, environment)
);

CREATE INDEX route_route_generation ON route_route (generation);

CREATE TABLE route_table (
  id BIGINT PRIMARY KEY,
  generation BIGINT NOT NULL,
  since BIGINT NOT NULL
);

INSERT INTO route_table (id, generation, since) SELECT id, generation, 0 FROM route_snapshot;

DROP TABLE route_snapshot;

CREATE INDEX route_host_place ON route_host (service, environment);

CREATE TABLE route_waiting (
  host TEXT NOT NULL,
  service TEXT NOT NULL,
  environment TEXT NOT NULL,
  PRIMARY KEY (host, service, environment)
);

CREATE INDEX route_waiting_place ON route_waiting (service, environment);
