CREATE TABLE access_view (
  person TEXT NOT NULL,
  name TEXT NOT NULL,
  query TEXT NOT NULL,
  saved BIGINT NOT NULL,
  PRIMARY KEY (person, name)
);
