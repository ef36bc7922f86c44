#include "storage/mysql/cascades.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "storage/mysql/literal.h"
#include "storage/mysql/text_rows.h"

namespace syncline::storage::mysql {

namespace {

// FOR UPDATE of a table that the statement reads itself: DELETE FROM p WHERE id IN (SELECT p FROM c).
constexpr int kUsedByStatement = 1442;

// What happens to the rows at one end of a chain: they go, or columns of theirs are given values.
struct effect {
  bool deleted = false;
  std::map<std::string, std::string> assigned;  // column to SQL: NEW.`a` or NULL

  [[nodiscard]] const std::string* find(std::string_view column) const {
    for (const auto& [name, value] : assigned)
      if (same_name(name, column)) return &value;
    return nullptr;
  }
};

// How `key` passes on what happens to the parent's rows; nothing when it does not.
std::optional<effect> passed_on(const foreign_key& key, const effect& parent) {
  const bool touched =
      parent.deleted || std::any_of(key.parent_columns.begin(), key.parent_columns.end(),
                                    [&](const auto& c) { return parent.find(c) != nullptr; });
  const std::string& rule = parent.deleted ? key.on_delete : key.on_update;
  if (!touched || (rule != "CASCADE" && rule != "SET NULL")) return std::nullopt;
  effect out;
  if (parent.deleted && rule == "CASCADE") {
    out.deleted = true;
    return out;
  }
  for (std::size_t i = 0; i < key.columns.size(); ++i) {
    if (rule == "SET NULL") {
      out.assigned[key.columns[i]] = "NULL";
    } else if (const std::string* value = parent.find(key.parent_columns[i])) {
      out.assigned[key.columns[i]] = *value;
    }
  }
  return out;
}

// Tables from which a chain of keys leads to `table`.
std::set<std::string> ancestors(const std::string& table, std::span<const foreign_key> keys) {
  std::set<std::string> out;
  std::vector<std::string> todo{table};
  while (!todo.empty()) {
    const std::string child = std::move(todo.back());
    todo.pop_back();
    for (const foreign_key& key : keys)
      if (key.table == child && key.parent_schema.empty() && out.insert(key.parent).second)
        todo.push_back(key.parent);
  }
  return out;
}

class chains {
 public:
  chains(const resource& of, const table_shape& t, std::span<const foreign_key> keys, std::int64_t id)
      : of_(of), t_(t), keys_(keys), id_(id), watched_(watched_columns(of, t)), placing_(place_columns(of)) {}

  // The notes for everything that an event on `table` does to the resource; empty: nothing.
  [[nodiscard]] std::string from(const std::string& table, const effect& start) {
    out_.clear();
    notes_ = 0;
    path_.clear();
    root_ = table;
    follow(table, start);
    return out_;
  }
  [[nodiscard]] bool too_many() const { return too_many_; }

 private:
  void follow(const std::string& table, const effect& of_parent) {
    if (path_.size() == kCascadeDepthMax || too_many_) return;
    for (const foreign_key& key : keys_) {
      if (!key.parent_schema.empty() || key.parent != table) continue;
      const std::optional<effect> here = passed_on(key, of_parent);
      if (!here) continue;
      path_.push_back(&key);
      if (key.table == t_.name) note(*here);
      follow(key.table, *here);
      path_.pop_back();
    }
  }

  // Whether the rows on the way must be locked for writing (cascades.h). In a tree it can never be.
  [[nodiscard]] bool exclusive() const {
    return path_.size() > 1 && std::none_of(path_.begin(), path_.end(),
                                            [&](const foreign_key* key) { return key->table == root_; });
  }

  // In the order of the chain then: a row on the way that has no children yet is locked as well.
  [[nodiscard]] std::string rows() const {
    const std::string_view join = exclusive() ? " STRAIGHT_JOIN" : " JOIN";
    std::string out = "FROM";
    std::vector<std::string> first;
    for (std::size_t step = 0; step < path_.size(); ++step) {
      const foreign_key& key = *path_[step];
      std::vector<std::string> same;
      for (std::size_t i = 0; i < key.columns.size(); ++i) {
        const std::string above = step == 0 ? std::string("OLD") : fmt::format("c{}", step);
        same.push_back(fmt::format("c{}.{}={}.{}", step + 1, identifier(key.columns[i]), above,
                                   identifier(key.parent_columns[i])));
      }
      if (step == 0) first = same;
      out += fmt::format("{} {} AS c{}{}", step == 0 ? "" : join, identifier(key.table), step + 1,
                         step == 0 ? "" : " ON " + joined(same, " AND "));
    }
    return out + " WHERE " + joined(first, " AND ");
  }

  void append(const place_sql& place, bool gone) {
    too_many_ = too_many_ || ++notes_ > kCascadeNotesMax;
    const std::string insert =
        fmt::format("INSERT INTO {} SELECT {},{},{},{} {}{}", kPendingColumns, id_, place.scope, place.key,
                    gone ? 1 : 0, rows(), place.exists.empty() ? "" : fmt::format(" AND ({})", place.exists));
    if (exclusive()) {
      out_ += fmt::format("BEGIN\nDECLARE EXIT HANDLER FOR {} {} FOR SHARE;\n{} FOR UPDATE;\nEND;\n",
                          kUsedByStatement, insert, insert);
    } else {
      out_ += insert + " FOR SHARE;\n";
    }
  }

  void note(const effect& here) {
    const auto among = [&](const std::vector<std::string>& names) {
      return here.deleted || std::any_of(names.begin(), names.end(),
                                         [&](const std::string& n) { return here.find(n) != nullptr; });
    };
    if (!among(watched_)) return;
    const column_sql before = columns_of(fmt::format("c{}.", path_.size()));
    const column_sql after = [&](std::string_view column) {
      const std::string* value = here.find(column);
      return value != nullptr ? *value : before(column);
    };
    if (among(placing_))
      for (const place_sql& place : places_of(of_, t_, before)) append(place, true);
    if (here.deleted) return;
    for (const place_sql& place : places_of(of_, t_, after)) append(place, !of_.where.empty());
  }

  const resource& of_;
  const table_shape& t_;
  std::span<const foreign_key> keys_;
  std::int64_t id_;
  std::vector<std::string> watched_, placing_;
  std::vector<const foreign_key*> path_;
  std::string root_;  // where the event is
  std::string out_;
  std::size_t notes_ = 0;
  bool too_many_ = false;
};

net::error refused(const resource& of, std::string why) {
  return {net::errc::schema_mismatch, "foreign keys cannot be followed",
          fmt::format("resource {}: {}", of.name, why)};
}

bool changes_children(const foreign_key& key) {
  const auto changes = [](const std::string& rule) { return rule == "CASCADE" || rule == "SET NULL"; };
  return changes(key.on_delete) || changes(key.on_update);
}

// An update of the parent: every column that a key of a child names may have changed.
effect update_of(const std::string& table, std::span<const foreign_key> keys) {
  effect out;
  for (const foreign_key& key : keys)
    if (key.parent_schema.empty() && key.parent == table)
      for (const std::string& c : key.parent_columns) out.assigned[c] = "NEW." + identifier(c);
  return out;
}

std::string when_changed(const effect& update, const std::string& notes) {
  std::vector<std::string> parts;
  for (const auto& [column, value] : update.assigned)
    parts.push_back(fmt::format("NOT (OLD.{} <=> {})", identifier(column), value));
  return fmt::format("BEGIN\nIF {} THEN\n{}END IF;\nEND", joined(parts, " OR "), notes);
}

}  // namespace

net::result<std::vector<trigger_text>> cascade_triggers(const resource& of, const table_shape& t,
                                                        std::span<const foreign_key> keys,
                                                        std::int64_t resource_id) {
  std::vector<trigger_text> out;
  const std::set<std::string> above = ancestors(t.name, keys);
  for (const foreign_key& key : keys)
    if (!key.parent_schema.empty() && changes_children(key) &&
        (key.table == t.name || above.contains(key.table)))
      return refused(of, fmt::format("the foreign key {} lets {}.{}, which is in another schema, change rows "
                                     "unseen; make it RESTRICT",
                                     key.name, key.parent_schema, key.parent));
  chains walk(of, t, keys, resource_id);
  for (const std::string& table : above) {
    effect removal;
    removal.deleted = true;
    const std::string on_delete = walk.from(table, removal);
    const effect update = update_of(table, keys);
    const std::string on_update = walk.from(table, update);
    if (walk.too_many())
      return refused(of,
                     fmt::format("more than {} chains of foreign keys with CASCADE or SET NULL lead from {} "
                                 "to {}",
                                 kCascadeNotesMax, table, t.name));
    if (!on_delete.empty())
      out.push_back(make_trigger(resource_id, "cascade_delete", table, "BEFORE DELETE",
                                 fmt::format("BEGIN\n{}END", on_delete)));
    if (!on_update.empty())
      out.push_back(make_trigger(resource_id, "cascade_update", table, "BEFORE UPDATE",
                                 when_changed(update, on_update)));
  }
  return out;
}

}  // namespace syncline::storage::mysql
