// Where the source tree is, for tests that compare what ships (documentation, demo config) with the code or
// run our scripts.
//
// In a file of its own: a path of this checkout in the flags of a larger one would keep it out of its batch,
// and the compiler cache from serving another checkout. Thread: any.
#pragma once

#include <string>

namespace syncline::testing {

[[nodiscard]] std::string source_folder();  // without a slash at its end

}  // namespace syncline::testing
