// `syncline serve`: the server, from the config to the last signal.
//
// Thread: the main thread, which only waits for signals. SIGTERM and SIGINT drain and give exit code 0, a
// second one ends at once with 1; SIGHUP reopens the log. Failure: exit code 1 with the reason when it cannot
// start; nothing is left running.
#pragma once

#include "server/command/config_options.h"

namespace syncline::server::command {

[[nodiscard]] int serve(const config_options& options);

}  // namespace syncline::server::command
