-- The tables of the demo on MySQL, as an application would own them; schema.sql is the same for SQLite. Syncline's own tables and triggers
-- come from `syncline migrate`. Scope columns are indexed: a sync stream reads the rows of one scope.

CREATE TABLE IF NOT EXISTS users (
  id         BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name       VARCHAR(400) NOT NULL,
  email      VARCHAR(254),
  phone      VARCHAR(32),
  city       VARCHAR(200),
  country    CHAR(2),
  lang       VARCHAR(16),
  avatar_url VARCHAR(2000),
  bio        TEXT,
  state      JSON,
  score      DOUBLE,
  created_at DATETIME,
  updated_at DATETIME,
  deleted_at DATETIME,
  KEY users_email (email)
);

CREATE TABLE IF NOT EXISTS user_states (
  user_id      BIGINT NOT NULL PRIMARY KEY,
  online       BOOLEAN NOT NULL DEFAULT 0,
  last_seen_at DATETIME,
  unread       INT NOT NULL DEFAULT 0,
  device       JSON,
  updated_at   DATETIME
);

CREATE TABLE IF NOT EXISTS blocks (
  user_id    BIGINT NOT NULL,
  target_id  BIGINT NOT NULL,
  reason     VARCHAR(500),
  created_at DATETIME,
  PRIMARY KEY (user_id, target_id)
);

CREATE TABLE IF NOT EXISTS follows (
  user_id    BIGINT NOT NULL,
  target_id  BIGINT NOT NULL,
  muted      BOOLEAN NOT NULL DEFAULT 0,
  created_at DATETIME,
  PRIMARY KEY (user_id, target_id)
);

CREATE TABLE IF NOT EXISTS categories (
  id         BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  parent_id  BIGINT,
  name       VARCHAR(400) NOT NULL,
  slug       VARCHAR(200),
  sort       INT NOT NULL DEFAULT 0,
  updated_at DATETIME,
  KEY categories_parent (parent_id, sort)
);

CREATE TABLE IF NOT EXISTS campaigns (
  id          BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  title       VARCHAR(400) NOT NULL,
  slug        VARCHAR(200),
  description TEXT,
  category_id BIGINT,
  country     CHAR(2),
  goal        DECIMAL(18,2),
  currency    CHAR(3),
  tags        JSON,
  starts_on   DATE,
  ends_on     DATE,
  updated_at  DATETIME,
  KEY campaigns_category (category_id)
);

CREATE TABLE IF NOT EXISTS donations (
  id          BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  user_id     BIGINT,
  campaign_id BIGINT NOT NULL,
  amount      DECIMAL(18,2) NOT NULL,
  currency    CHAR(3) NOT NULL,
  anonymous   BOOLEAN NOT NULL DEFAULT 0,
  message     TEXT,
  tags        JSON,
  created_at  DATETIME,
  KEY donations_user (user_id),
  KEY donations_campaign (campaign_id, created_at)
);
