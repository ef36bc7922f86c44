#include "tests/source_folder.h"

namespace syncline::testing {

std::string source_folder() {
  return SYNCLINE_SOURCE_DIR;
}

}  // namespace syncline::testing
