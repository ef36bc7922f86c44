// The command line of `syncline`: one subcommand a file, options gathered here, help with examples.
//
// Thread: the main thread. Failure: exit code 64 with a message for options that make no sense; otherwise the
// command's own code (0 done, 1 failed, 2 done but something was not as it should be).
#pragma once

namespace syncline::server::command {

[[nodiscard]] int run(int argc, char** argv);

}  // namespace syncline::server::command
