// Opens the store that the config names.
//
// Thread: the main thread, before the cores run; blocking. Failure: result<>, with what to do about it.
#pragma once

#include <memory>
#include <string>

#include "server/config.h"
#include "storage/store.h"

namespace syncline::net {
class blocking_threads;
}

namespace syncline::server {

// `threads` resolve the names of servers and outlive the store, as do `settings` and `cores`.
[[nodiscard]] net::result<std::unique_ptr<storage::store>> open_store(config& settings,
                                                                      net::core_group& cores,
                                                                      net::blocking_threads& threads);
// Where the rows are, for the log.
[[nodiscard]] std::string database_name(const config& settings);

}  // namespace syncline::server
