// The tables that Syncline puts into a MySQL schema, as text.

#include "storage/mysql/schema.h"

namespace syncline::storage::mysql {

namespace {

// DYNAMIC is what allows index keys of 3,072 bytes; a server may have another default.
constexpr std::string_view kTableOptions =
    " ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin";

std::string table(std::string_view definition) {
  return std::string("CREATE TABLE IF NOT EXISTS ").append(definition).append(kTableOptions);
}

}  // namespace

std::vector<std::string> common_tables() {
  return {
      table("syncline_clock (id TINYINT NOT NULL PRIMARY KEY, seq BIGINT NOT NULL, horizon BIGINT NOT NULL, "
            "server VARBINARY(64) NOT NULL)"),
      table("syncline_pending (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, resource INT NOT "
            "NULL, scope VARBINARY(768) NOT NULL, `key` VARBINARY(1024) NOT NULL, gone TINYINT NOT NULL)"),
      // The place is the primary key, so that entering a place again finds it without a second look-up.
      table("syncline_feed (resource INT NOT NULL, scope VARBINARY(768) NOT NULL, `key` VARBINARY(1024) NOT "
            "NULL, seq BIGINT NOT NULL, gone_at BIGINT NULL, PRIMARY KEY (resource, scope, `key`), "
            "UNIQUE KEY by_seq (seq), KEY by_scope (resource, scope, seq), KEY by_gone (gone_at))"),
      table("syncline_resource (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARBINARY(255) NOT NULL, "
            "incarnation BIGINT NOT NULL, declaration VARBINARY(64) NOT NULL, identity TEXT NOT NULL, "
            "UNIQUE KEY by_name (name))"),
      table("syncline_generation (number BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, id BIGINT NOT NULL, "
            "first_seq BIGINT NOT NULL, created_at BIGINT NOT NULL)"),
      table("syncline_idempotency (`key` VARBINARY(255) NOT NULL PRIMARY KEY, fingerprint BIGINT NOT NULL, "
            "lines_done BIGINT NOT NULL, saved LONGBLOB NOT NULL, complete TINYINT NOT NULL, "
            "created_at BIGINT NOT NULL, KEY by_age (created_at))"),
      "INSERT IGNORE INTO syncline_clock (id, seq, horizon, server) VALUES (1, 0, 0, '')",
  };
}

}  // namespace syncline::storage::mysql
