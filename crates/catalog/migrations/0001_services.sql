CREATE TABLE catalog_service (
  service TEXT PRIMARY KEY,
  team TEXT NOT NULL,
  description TEXT NOT NULL,
  version BIGINT NOT NULL,
  created BIGINT NOT NULL,
  removed BIGINT
);

CREATE INDEX catalog_service_team ON catalog_service (team);
