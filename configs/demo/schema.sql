-- The tables of the demo, as an application would own them. Syncline's own tables and triggers come from `syncline migrate`.
-- Scope columns are indexed: a sync stream reads the rows of one scope.

CREATE TABLE IF NOT EXISTS users (
  id         INTEGER PRIMARY KEY,
  name       TEXT NOT NULL,
  email      TEXT,
  phone      TEXT,
  city       TEXT,
  country    TEXT,
  lang       TEXT,
  avatar_url TEXT,
  bio        TEXT,
  state      TEXT,
  score      REAL,
  created_at TEXT,
  updated_at TEXT,
  deleted_at TEXT
);
CREATE INDEX IF NOT EXISTS users_email ON users (email);

CREATE TABLE IF NOT EXISTS user_states (
  user_id      INTEGER PRIMARY KEY,
  online       INTEGER NOT NULL DEFAULT 0,
  last_seen_at TEXT,
  unread       INTEGER NOT NULL DEFAULT 0,
  device       TEXT,
  updated_at   TEXT
);

CREATE TABLE IF NOT EXISTS blocks (
  user_id    INTEGER NOT NULL,
  target_id  INTEGER NOT NULL,
  reason     TEXT,
  created_at TEXT,
  PRIMARY KEY (user_id, target_id)
);

CREATE TABLE IF NOT EXISTS follows (
  user_id    INTEGER NOT NULL,
  target_id  INTEGER NOT NULL,
  muted      INTEGER NOT NULL DEFAULT 0,
  created_at TEXT,
  PRIMARY KEY (user_id, target_id)
);

CREATE TABLE IF NOT EXISTS categories (
  id         INTEGER PRIMARY KEY,
  parent_id  INTEGER,
  name       TEXT NOT NULL,
  slug       TEXT,
  sort       INTEGER NOT NULL DEFAULT 0,
  updated_at TEXT
);
CREATE INDEX IF NOT EXISTS categories_parent ON categories (parent_id, sort);

CREATE TABLE IF NOT EXISTS campaigns (
  id          INTEGER PRIMARY KEY,
  title       TEXT NOT NULL,
  slug        TEXT,
  description TEXT,
  category_id INTEGER,
  country     TEXT,
  goal        TEXT,
  currency    TEXT,
  tags        TEXT,
  starts_on   TEXT,
  ends_on     TEXT,
  updated_at  TEXT
);
CREATE INDEX IF NOT EXISTS campaigns_category ON campaigns (category_id);

CREATE TABLE IF NOT EXISTS donations (
  id          INTEGER PRIMARY KEY,
  user_id     INTEGER,
  campaign_id INTEGER NOT NULL,
  amount      TEXT NOT NULL,
  currency    TEXT NOT NULL,
  anonymous   INTEGER NOT NULL DEFAULT 0,
  message     TEXT,
  tags        TEXT,
  created_at  TEXT
);
CREATE INDEX IF NOT EXISTS donations_user ON donations (user_id);
CREATE INDEX IF NOT EXISTS donations_campaign ON donations (campaign_id, created_at);
