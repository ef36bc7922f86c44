// `syncline check-config`: says OK and what is in force, or what is wrong and where.
//
// It reads the config only: whether tables and columns exist is known when the database is opened.
// Thread: the main thread. Failure: exit code 1.
#pragma once

#include "server/command/config_options.h"

namespace syncline::server::command {

struct check_config_options {
  config_options from;
  bool defaults = false;  // the table of settings instead
};

[[nodiscard]] int check_config(const check_config_options& options);

}  // namespace syncline::server::command
