#include "tests/e2e/synced_copy.h"

#include <stdexcept>

#include <boost/json.hpp>

namespace syncline::e2e {

bool synced_copy::apply(const std::string& line) {
  was_reset_ = false;
  if (line.empty()) return false;
  const boost::json::object object = boost::json::parse(line).as_object();
  const std::string op(object.at("op").as_string());
  if (op == "checkpoint" || op == "up_to_date") {
    cursor_ = std::string(object.at("cursor").as_string());
    undo_.clear();
    return op == "up_to_date";
  }
  if (op == "reset") {
    forget();
    was_reset_ = true;
    return false;
  }
  const place where(object.at("resource").as_string(), boost::json::serialize(object.at("id")));
  if (op == "put") {
    set(where, boost::json::serialize(object.at("row")));
  } else if (op == "remove") {
    set(where, std::nullopt);
  } else {
    throw std::runtime_error("unknown line: " + line);
  }
  return false;
}

void synced_copy::set(const place& where, std::optional<std::string> row) {
  const auto found = rows_.find(where);
  undo_.emplace_back(where, found == rows_.end() ? std::nullopt : std::optional(found->second));
  if (row) {
    rows_[where] = std::move(*row);
  } else if (found != rows_.end()) {
    rows_.erase(found);
  }
}

void synced_copy::drop_unconfirmed() {
  while (!undo_.empty()) {
    const auto [where, before] = std::move(undo_.back());
    undo_.pop_back();
    if (before) {
      rows_[where] = *before;
    } else {
      rows_.erase(where);
    }
  }
}

void synced_copy::forget() {
  rows_.clear();
  undo_.clear();
  cursor_.reset();
}

}  // namespace syncline::e2e
