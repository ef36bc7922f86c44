// What a person sees of a copy that is being made: a line that moves on a terminal, a plain line a second
// elsewhere, one closing line when all is there.
//
// On standard error; for copies in a file or database (on standard output the lines themselves are the news).
// Thread: one.
#pragma once

#include <chrono>
#include <cstdint>

namespace syncline::server::command {

class copy_progress {
 public:
  copy_progress(bool shown, bool terminal);
  void put();
  void removed();
  void up_to_date();  // the closing line; later changes of a live stream are not told
  void start_over();  // the copy was dropped
  void clear();       // before another line is printed

 private:
  void show();

  bool shown_, terminal_;
  bool line_shown_ = false;
  std::uint64_t puts_ = 0, removes_ = 0;
  std::chrono::steady_clock::time_point started_, shown_at_;
};

}  // namespace syncline::server::command
