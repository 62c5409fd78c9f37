ALTER TABLE access_token ADD COLUMN kind TEXT NOT NULL DEFAULT 'token';
ALTER TABLE access_token ADD COLUMN parent TEXT;
CREATE INDEX access_token_parent ON access_token (parent) WHERE parent IS NOT NULL;
