CREATE TABLE access_setting (
  service TEXT NOT NULL,
  environment TEXT NOT NULL,
  name TEXT NOT NULL,
  version BIGINT NOT NULL,
  secret BIGINT NOT NULL,
  removed BIGINT NOT NULL,
  sealed TEXT NOT NULL,
  created BIGINT NOT NULL,
  actor TEXT NOT NULL,
  PRIMARY KEY (service, environment, name, version)
);
