// The copy as a log of lines, in a file or on standard output.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "server/command/sync_target.h"

namespace syncline::server::command {
namespace {

net::error file_error(const std::string& name) {
  return net::error(net::errc::down, "cannot write", fmt::format("{}: {}", name, std::strerror(errno)));
}

// What a state file holds: {"cursor":"…","bytes":123}. `bytes` is how long the log was at that cursor: what
// is beyond it is sent again.
struct saved_state {
  std::string cursor;
  std::uint64_t bytes = 0;
  bool known = false;  // there is a state file
};

net::result<saved_state> read_state(const std::string& name) {
  std::ifstream in(name, std::ios::binary);
  if (!in) return saved_state{};
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  boost::json::error_code failed;
  const boost::json::value parsed = boost::json::parse(text, failed);
  const auto* object = failed ? nullptr : parsed.if_object();
  const auto* cursor = object != nullptr ? object->if_contains("cursor") : nullptr;
  const auto* bytes = object != nullptr ? object->if_contains("bytes") : nullptr;
  if (cursor == nullptr || !cursor->is_string() || bytes == nullptr || !bytes->is_int64() ||
      bytes->get_int64() < 0) {
    return net::error(net::errc::corrupt, "this is no state file of `syncline sync`", name);
  }
  return saved_state{std::string(cursor->get_string()), static_cast<std::uint64_t>(bytes->get_int64()), true};
}

class line_target final : public sync_target {
 public:
  line_target(std::string file, std::string state, saved_state at)
      : file_(std::move(file)), state_(std::move(state)), at_(std::move(at)) {}
  ~line_target() override {
    if (fd_ > STDOUT_FILENO) ::close(fd_);
  }
  line_target(const line_target&) = delete;
  line_target& operator=(const line_target&) = delete;

  [[nodiscard]] net::result<void> open() {
    fd_ = file_.empty() ? STDOUT_FILENO : ::open(file_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd_ < 0) return file_error(file_);
    if (file_.empty()) return {};
    const off_t seen = ::lseek(fd_, 0, SEEK_END);
    const std::uint64_t end = seen < 0 ? 0 : static_cast<std::uint64_t>(seen);  // a pipe has no end
    // Without a state file nothing is known about what the file has: it stays.
    if (state_.empty()) {
      at_.bytes = written_ = end;
      return {};
    }
    if (!at_.known && end != 0) {
      return net::error(net::errc::invalid, "the file has something in it and there is no state file for it",
                        fmt::format("{} and {}; name another --out", file_, state_));
    }
    if (end < at_.bytes) {
      return net::error(
          net::errc::corrupt, "the file is shorter than its state file says",
          fmt::format("{}: {} bytes, not {}; remove both to start over", file_, end, at_.bytes));
    }
    if (auto mine = cut(at_.bytes); !mine) return mine;
    return save();  // from the start, so that a run that is cut before its first checkpoint is known too
  }
  [[nodiscard]] std::string cursor() const override { return at_.cursor; }

  net::result<void> change(const sync_line&, std::string_view text) override {
    buffer_.append(text).push_back('\n');
    return buffer_.size() < kBufferBytes ? net::result<void>() : flush();
  }
  net::result<void> checkpoint(const sync_line& line, std::string_view text) override {
    buffer_.append(text).push_back('\n');
    if (auto written = flush(); !written) return written;
    at_ = {line.cursor, written_, true};
    return save();
  }
  // Where the file is ours from its beginning it begins anew; else the reader of the lines is told.
  net::result<void> reset(std::string_view text) override {
    if (auto undone = roll_back(); !undone) return undone;
    at_.cursor.clear();
    if (file_.empty() || state_.empty()) {
      buffer_.append(text).push_back('\n');
      if (auto written = flush(); !written) return written;
    } else if (auto cleared = cut(0); !cleared) {
      return cleared;
    }
    at_.bytes = written_;
    return save();
  }
  net::result<void> roll_back() override {
    buffer_.clear();
    return file_.empty() ? net::result<void>() : cut(at_.bytes);
  }

 private:
  static constexpr std::size_t kBufferBytes = 256 * 1024;

  net::result<void> flush() {
    std::string_view left = buffer_;
    while (!left.empty()) {
      const ssize_t done = ::write(fd_, left.data(), left.size());
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) return file_error(file_.empty() ? "standard output" : file_);
      left.remove_prefix(static_cast<std::size_t>(done));
    }
    written_ += buffer_.size();
    buffer_.clear();
    return {};
  }
  net::result<void> cut(std::uint64_t bytes) {
    if (::ftruncate(fd_, static_cast<off_t>(bytes)) != 0 ||
        ::lseek(fd_, static_cast<off_t>(bytes), SEEK_SET) < 0) {
      // A pipe or a terminal cannot be cut; what it has it keeps.
      if (errno != EINVAL && errno != ESPIPE) return file_error(file_);
    }
    written_ = bytes;
    return {};
  }
  // Replaced in one step: a run that is killed leaves the old state or the new one.
  net::result<void> save() const {
    if (state_.empty()) return {};
    const std::string fresh = state_ + ".new";
    const boost::json::object text{{"cursor", at_.cursor}, {"bytes", at_.bytes}};
    const std::string bytes = boost::json::serialize(text) + "\n";
    std::FILE* out = std::fopen(fresh.c_str(), "wb");
    if (out == nullptr) return file_error(fresh);
    const bool written =
        std::fwrite(bytes.data(), 1, bytes.size(), out) == bytes.size() && std::fflush(out) == 0;
    const bool closed = std::fclose(out) == 0;
    if (!written || !closed || std::rename(fresh.c_str(), state_.c_str()) != 0) return file_error(state_);
    return {};
  }

  std::string file_;
  std::string state_;
  saved_state at_;
  int fd_ = -1;
  std::string buffer_;
  std::uint64_t written_ = 0;
};

}  // namespace

net::result<std::unique_ptr<sync_target>> open_line_target(const std::string& file, const std::string& state,
                                                           const std::string& since) {
  saved_state at;
  if (!state.empty()) {
    auto saved = read_state(state);
    if (!saved) return saved.error();
    at = std::move(*saved);
  }
  if (!since.empty()) at = {since, 0, false};
  auto out = std::make_unique<line_target>(file, state, std::move(at));
  if (auto opened = out->open(); !opened) return opened.error();
  return std::unique_ptr<sync_target>(std::move(out));
}

}  // namespace syncline::server::command
