CREATE INDEX catalog_service_of_team ON catalog_service (team, service);

DROP INDEX catalog_service_team;
