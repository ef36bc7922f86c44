#include "storage/mysql/schema_state.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "storage/mysql/cascades.h"
#include "storage/mysql/literal.h"
#include "storage/mysql/server_error.h"
#include "storage/mysql/text_rows.h"
#include "storage/row_json.h"

namespace syncline::storage::mysql {

namespace {

constexpr std::uint32_t kNoSuchTable = 1146;
constexpr std::uint32_t kSpecificAccessDenied = 1227;
constexpr int kIdentityTries = 4;
constexpr std::size_t kNameMax = 64;

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (static_cast<unsigned char>(c) & 0x80U) == 0; });
}

// How InnoDB names a table: other characters than letters, digits and '_' as @ and four hex digits. (Names
// beyond ASCII have codes of their own, which we do not know.)
std::string file_name(std::string_view name) {
  std::string out;
  for (const char c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    if (plain) {
      out.push_back(c);
    } else {
      out += fmt::format("@{:04x}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

constexpr std::array<std::string_view, 6> kTables = {"syncline_clock",      "syncline_pending",
                                                     "syncline_feed",       "syncline_resource",
                                                     "syncline_generation", "syncline_idempotency"};

}  // namespace

bool table_identity::may_be(const table_identity& other) const {
  if (!id.empty() && !other.id.empty()) return id == other.id;
  return created.empty() || other.created.empty() || created == other.created;
}

std::string resource_state::identity_text() const {
  if (triggers.empty()) return {};
  std::string created = table.created;
  std::replace(created.begin(), created.end(), ' ', 'T');
  return fmt::format("triggers={} table={} created={}{}{}", triggers, table.id, created,
                     old_left ? " old" : "", rows_left ? " rows" : "");
}

void resource_state::read_identity(std::string_view text) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const auto value = [&](std::string_view label) { return std::string(word.substr(label.size())); };
    if (word.starts_with("triggers=")) triggers = value("triggers=");
    if (word.starts_with("table=")) table.id = value("table=");
    if (word.starts_with("created=")) {
      table.created = value("created=");
      std::replace(table.created.begin(), table.created.end(), 'T', ' ');
    }
    old_left = old_left || word == "old";
    rows_left = rows_left || word == "rows";
  }
}

net::task<net::result<std::vector<resource_state>>> resource_states(net::request_context& context,
                                                                    sql_connection& db) {
  auto asking = query(
      context, db, "SELECT id, name, incarnation, declaration, identity FROM syncline_resource ORDER BY id");
  net::result<text_rows> rows = co_await std::move(asking);
  std::vector<resource_state> out;
  if (!rows && server_code(rows.error()) == kNoSuchTable) co_return out;
  if (!rows) co_return rows.error();
  for (const text_row& row : *rows) {
    resource_state s;
    s.id = row.integer(0);
    s.name = row.text(1);
    s.incarnation = row.integer(2);
    s.declaration = row.text(3);
    s.read_identity(row.text(4));
    out.push_back(std::move(s));
  }
  co_return out;
}

const resource_state* find_state(const std::vector<resource_state>& all, std::string_view name) {
  for (const resource_state& s : all)
    if (s.name == name) return &s;
  return nullptr;
}

net::task<net::result<triggers_there>> read_triggers(net::request_context& context, sql_connection& db) {
  auto asking =
      query(context, db,
            "SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE, CONCAT(ACTION_TIMING,' ',EVENT_MANIPULATION), "
            "ACTION_STATEMENT FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA=DATABASE() AND "
            "TRIGGER_NAME LIKE 'syncline\\\\_%'");
  net::result<text_rows> rows = co_await std::move(asking);
  if (!rows) co_return rows.error();
  triggers_there out;
  for (const text_row& row : *rows) out[row.text(0)] = {row.text(1), row.text(2), row.text(3)};
  co_return out;
}

// The text comes back in UTF-8 whatever it was written in, so only ASCII is compared; the name has its hash.
bool is_there(const triggers_there& all, const trigger_text& wanted) {
  const auto found = all.find(wanted.name);
  if (found == all.end()) return false;
  const trigger_there& t = found->second;
  return t.table == wanted.table && t.when == wanted.when &&
         (!is_ascii(wanted.body) || t.body == wanted.body);
}

std::vector<std::string> leftovers(const triggers_there& all, const std::vector<trigger_text>& wanted,
                                   std::int64_t id) {
  std::vector<std::string> out;
  for (const auto& there : all) {
    const std::string& name = there.first;
    const bool keep =
        std::any_of(wanted.begin(), wanted.end(), [&](const trigger_text& w) { return w.name == name; });
    if (trigger_owner(name) == id && !keep) out.push_back(name);
  }
  return out;
}

net::task<net::result<resource_plan>> plan_resource(net::request_context& context, sql_connection& db,
                                                    const resource& of, const std::vector<foreign_key>& keys,
                                                    std::int64_t resource_id) {
  auto reading = read_table_shape(context, db, of.table);
  net::result<table_shape> shape = co_await std::move(reading);
  if (!shape) co_return shape.error();
  if (shape->kind != table_shape::object::table)
    co_return net::error(net::errc::schema_mismatch, "only a table can be synced",
                         fmt::format("resource {}: {} is no table", of.name, of.table));
  resource_plan out;
  out.shape = std::move(*shape);
  out.triggers = feed_triggers(of, out.shape, resource_id);
  auto cascades = cascade_triggers(of, out.shape, keys, resource_id);
  if (!cascades) co_return cascades.error();
  for (trigger_text& each : *cascades) out.triggers.push_back(std::move(each));
  std::string names;
  for (const trigger_text& each : out.triggers) names += each.name;
  out.hash = fmt::format("{:016x}", hash_bytes(names));
  co_return out;
}

net::task<net::result<table_identity>> read_identity(net::request_context& context, sql_connection& db,
                                                     std::string table) {
  auto about_table = query(context, db,
                           fmt::format("SELECT CREATE_TIME, DATABASE() FROM information_schema.TABLES WHERE "
                                       "TABLE_SCHEMA=DATABASE() AND TABLE_NAME={}",
                                       text_literal(table)));
  net::result<text_rows> created = co_await std::move(about_table);
  if (!created) co_return created.error();
  table_identity out;
  if (created->empty()) co_return out;
  out.created = created->front().text(0);
  const std::string schema = created->front().text(1);
  if (!is_ascii(schema) || !is_ascii(table)) co_return out;
  // A partitioned table has an entry for each partition. The list of all is cut at group_concat_max_len (1024
  // unless it is set), so a long one is hashed as a whole. (Not a XOR of CRC32s: two neighbours that become
  // the next two leave it as it was.)
  const std::string name = file_name(schema) + "/" + file_name(table);
  const std::string asking = fmt::format(
      "SELECT /*+ SET_VAR(group_concat_max_len=1000000) */ "
      "IF(LENGTH({0})<1000,{0},CONCAT(COUNT(*),'-',LEFT(SHA2({0},256),32))) FROM "
      "information_schema.INNODB_TABLES WHERE NAME={1} OR LEFT(NAME,{2})={3}",
      "GROUP_CONCAT(TABLE_ID ORDER BY TABLE_ID SEPARATOR '+')", text_literal(name), name.size() + 3,
      text_literal(name + "#p#"));
  for (int tries = 1;; ++tries) {
    auto about_id = query(context, db, asking);
    net::result<text_rows> id = co_await std::move(about_id);
    if (id) {
      if (!id->empty()) out.id = id->front().text(0);
      co_return out;
    }
    // Without PROCESS it is refused, which is no failure. Anything else must not be taken for that: without
    // an id a TRUNCATE is not seen. The server looks at every table it has and waits for one that is being
    // altered.
    const std::uint32_t number = server_code(id.error());
    if (number == kSpecificAccessDenied) co_return out;
    const bool waited = number == code::kLockWaitTimeout || number == code::kDeadlock;
    if (!waited || tries == kIdentityTries) co_return id.error();
  }
}

std::string search_index_name(const resource& of) {
  std::string name = "syncline_search_" + of.name;
  if (name.size() > kNameMax) name = fmt::format("syncline_search_{:016x}", hash_bytes(of.name));
  return name;
}

bool covers_search(const resource& of, const table_index& index) {
  if (!index.fulltext || of.search.empty() || index.parts.size() != of.search.size()) return false;
  return std::all_of(of.search.begin(), of.search.end(), [&](std::size_t c) {
    return std::any_of(index.parts.begin(), index.parts.end(),
                       [&](const index_part& p) { return same_name(p.column, of.columns[c].name); });
  });
}

bool has_search_index(const resource& of, const table_shape& t) {
  return std::any_of(t.indexes.begin(), t.indexes.end(),
                     [&](const table_index& index) { return covers_search(of, index); });
}

bool follows(const catalog& all, std::string_view name) {
  const resource* of = all.find(name);
  return of != nullptr && is_followed(*of);
}

net::task<net::result<std::vector<resource_row>>> resource_rows(net::request_context& context,
                                                                sql_connection& db, const catalog& all) {
  auto reading = resource_states(context, db);
  net::result<std::vector<resource_state>> states = co_await std::move(reading);
  if (!states) co_return states.error();
  std::vector<resource_row> out(all.size());
  for (const resource_state& s : *states)
    if (follows(all, s.name)) out[all.find(s.name)->ordinal] = {s.id, s.incarnation};
  co_return out;
}

net::task<net::result<std::vector<std::string>>> missing_objects(net::request_context& context,
                                                                 sql_connection& db, const catalog& all) {
  std::vector<std::string> missing;
  auto listing = query(context, db,
                       "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA=DATABASE() AND "
                       "TABLE_NAME LIKE 'syncline\\\\_%'");
  net::result<text_rows> tables = co_await std::move(listing);
  if (!tables) co_return tables.error();
  for (const std::string_view name : kTables)
    if (std::none_of(tables->begin(), tables->end(), [&](const text_row& r) { return r.text(0) == name; }))
      missing.emplace_back(name);
  if (!missing.empty()) co_return missing;

  auto reading_states = resource_states(context, db);
  net::result<std::vector<resource_state>> states = co_await std::move(reading_states);
  if (!states) co_return states.error();
  auto reading_triggers = read_triggers(context, db);
  net::result<triggers_there> there = co_await std::move(reading_triggers);
  if (!there) co_return there.error();
  auto reading_keys = read_foreign_keys(context, db);
  net::result<std::vector<foreign_key>> keys = co_await std::move(reading_keys);
  if (!keys) co_return keys.error();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const resource& of = all.at(i);
    if (!is_followed(of)) continue;
    const resource_state* state = find_state(*states, of.name);
    if (state == nullptr) {
      missing.push_back("syncline_resource row of " + of.name);
      continue;
    }
    auto planning = plan_resource(context, db, of, *keys, state->id);
    net::result<resource_plan> plan = co_await std::move(planning);
    if (!plan) co_return plan.error();
    for (const trigger_text& wanted : plan->triggers)
      if (!is_there(*there, wanted)) missing.push_back(wanted.name);
    for (const std::string& name : leftovers(*there, plan->triggers, state->id))
      missing.push_back(name + " (no longer declared)");
    auto identifying = read_identity(context, db, of.table);
    net::result<table_identity> identity = co_await std::move(identifying);
    if (!identity) co_return identity.error();
    if (state->triggers != plan->hash || !state->table.may_be(*identity))
      missing.push_back("the table that triggers of " + of.name + " were made for");
    if (!of.search.empty() && !has_search_index(of, plan->shape)) missing.push_back(search_index_name(of));
    if (state->rows_left || state->old_left) missing.push_back("feed entries of rows of " + of.name);
  }
  co_return missing;
}

}  // namespace syncline::storage::mysql
