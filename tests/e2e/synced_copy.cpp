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
    return op == "up_to_date";
  }
  if (op == "reset") {
    forget();
    was_reset_ = true;
    return false;
  }
  const std::pair<std::string, std::string> place(object.at("resource").as_string(),
                                                  boost::json::serialize(object.at("id")));
  if (op == "put") {
    rows_[place] = boost::json::serialize(object.at("row"));
  } else if (op == "remove") {
    rows_.erase(place);
  } else {
    throw std::runtime_error("unknown line: " + line);
  }
  return false;
}

void synced_copy::forget() {
  rows_.clear();
  cursor_.reset();
}

}  // namespace syncline::e2e
