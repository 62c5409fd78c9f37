CREATE TABLE access_person (
  person TEXT PRIMARY KEY,
  admin BIGINT NOT NULL,
  created BIGINT NOT NULL,
  removed BIGINT
);

CREATE TABLE access_team (
  team TEXT PRIMARY KEY,
  version BIGINT NOT NULL,
  created BIGINT NOT NULL,
  removed BIGINT
);

CREATE TABLE access_member (
  team TEXT NOT NULL,
  person TEXT NOT NULL,
  role TEXT NOT NULL,
  PRIMARY KEY (team, person)
);

CREATE INDEX access_member_person ON access_member (person);

CREATE TABLE access_token (
  id TEXT PRIMARY KEY,
  hash TEXT NOT NULL UNIQUE,
  person TEXT NOT NULL,
  name TEXT NOT NULL,
  scopes TEXT NOT NULL,
  services TEXT NOT NULL,
  created BIGINT NOT NULL,
  expires BIGINT,
  revoked BIGINT,
  used BIGINT
);

CREATE INDEX access_token_person ON access_token (person);

CREATE TABLE access_code (
  hash TEXT PRIMARY KEY,
  person TEXT NOT NULL,
  expires BIGINT NOT NULL,
  used BIGINT
);
