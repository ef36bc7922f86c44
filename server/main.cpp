// The `syncline` program: everything is in server/command/.
#include "server/command/command_line.h"

int main(int argc, char** argv) {
  return syncline::server::command::run(argc, argv);
}
