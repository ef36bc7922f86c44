#include "server/command/load.h"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <optional>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "net/core/gzip.h"
#include "server/command/config_options.h"
#include "server/command/http_client.h"
#include "server/command/upload_progress.h"
#include "server/config_json.h"
#include "server/query.h"

namespace syncline::server::command {
namespace {

constexpr std::string_view kLoad = "load";
constexpr std::size_t kPieceBytes = 128 * 1024;
constexpr std::uint32_t kAnswerWaitMaxS = 600;  // an atomic upload answers only when all of it was checked
constexpr int kPollMs = 100;                    // how soon the sender notices that the answer has ended

class input_file {
 public:
  static net::result<input_file> open(const std::string& name) {
    input_file out;
    if (name == "-") {
      out.fd_ = STDIN_FILENO;
      return out;
    }
    out.fd_ = ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
    if (out.fd_ < 0)
      return net::error(net::errc::not_found, "cannot open the file",
                        fmt::format("{}: {}", name, std::strerror(errno)));
    struct stat of {};
    if (::fstat(out.fd_, &of) == 0 && S_ISREG(of.st_mode))
      out.bytes_ = static_cast<std::uint64_t>(of.st_size);
    return out;
  }
  input_file(input_file&& other) noexcept : fd_(std::exchange(other.fd_, -1)), bytes_(other.bytes_) {}
  input_file& operator=(input_file&&) = delete;
  ~input_file() {
    if (fd_ > STDIN_FILENO) ::close(fd_);
  }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

  // 0 at the end; -1 and errno; waits in steps so that `stop` is noticed, and gives 0 then.
  [[nodiscard]] ssize_t read(char* to, std::size_t size, const std::atomic<bool>& stop) const {
    while (!stop.load(std::memory_order_relaxed)) {
      pollfd waiting{fd_, POLLIN, 0};
      if (::poll(&waiting, 1, kPollMs) == 0) continue;
      const ssize_t got = ::read(fd_, to, size);
      if (got < 0 && errno == EINTR) continue;
      return got;
    }
    return 0;
  }

 private:
  input_file() = default;
  int fd_ = -1;
  std::uint64_t bytes_ = 0;
};

// The sending half, on its own thread. It ends when the file does, when sending fails, or when the answer is
// complete.
class sender {
 public:
  sender(http_client& client, const input_file& from, bool gzip, upload_progress& progress)
      : client_(&client), from_(&from), progress_(&progress) {
    if (gzip) zip_.emplace(6);
  }
  void start() {
    thread_ = std::thread([this] { run(); });
  }
  void stop() {
    stop_.store(true, std::memory_order_relaxed);
    client_->abort();
    thread_.join();
  }
  // After stop(): why the file could not be read; empty when it could.
  [[nodiscard]] const std::string& trouble() const noexcept { return trouble_; }

 private:
  void run() {
    std::vector<char> piece(kPieceBytes);
    for (;;) {
      const ssize_t got = from_->read(piece.data(), piece.size(), stop_);
      if (got < 0) {
        // Half a file must not look like a whole one: the connection is cut before the last chunk.
        trouble_ = fmt::format("cannot read the file: {}", std::strerror(errno));
        client_->abort();
        return;
      }
      if (stop_.load(std::memory_order_relaxed)) return;
      if (got == 0) break;
      if (!send(std::string_view(piece.data(), static_cast<std::size_t>(got)))) return;
      progress_->sent_bytes(static_cast<std::uint64_t>(got));
    }
    std::string last;
    if (zip_) zip_->finish(last);
    if (client_->send_chunk(last)) static_cast<void>(client_->end_chunks());  // a failure shows in the answer
  }
  bool send(std::string_view bytes) {
    if (!zip_) return client_->send_chunk(bytes).has_value();
    zipped_.clear();
    zip_->append(bytes, false, zipped_);
    return client_->send_chunk(zipped_).has_value();
  }

  http_client* client_;
  const input_file* from_;
  upload_progress* progress_;
  std::optional<net::gzip_encoder> zip_;
  std::string zipped_;
  std::string trouble_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

std::string format_of(const load_options& options) {
  if (!options.format.empty()) return options.format;
  return options.file.ends_with(".csv") ? "csv" : "ndjson";
}

net::result<void> send_request(http_client& client, const http_url& url, const load_options& options,
                               std::string_view format) {
  const std::string target =
      fmt::format("{}/v1/{}/bulk?format={}&conflict={}&atomic={}&dry_run={}", url.path,
                  encode_component(options.resource), format, encode_component(options.conflict),
                  options.atomic ? 1 : 0, options.dry_run ? 1 : 0);
  std::vector<std::pair<std::string_view, std::string_view>> headers{
      {"Content-Type", format == "csv" ? "text/csv" : "application/x-ndjson"},
      {"Accept-Encoding", "identity"}};
  if (options.gzip) headers.emplace_back("Content-Encoding", "gzip");
  if (!options.idempotency_key.empty()) headers.emplace_back("Idempotency-Key", options.idempotency_key);
  return client.send_head("POST", target, headers, true);
}

// Reads the answer to its end. The text of a failure, or empty.
std::string read_answer(http_client& client, upload_progress& progress) {
  const auto head = client.read_head();
  if (!head) return head.error().text();
  if (head->status != 200) {
    const auto body = client.read_rest(64 * 1024);
    return describe_problem(head->status, body ? std::string_view(*body) : std::string_view());
  }
  std::string line;
  for (;;) {
    const auto more = client.read_line(line);
    if (!more) return more.error().text();
    if (!*more) return {};
    progress.take_line(line);
  }
}

int exit_code(const upload_progress& progress) {
  if (!progress.has_summary() || progress.failed()) return 1;
  if (progress.rejected() > 0) return 2;
  return progress.complete() ? 0 : 1;
}

}  // namespace

int load_file(const load_options& options) {
  const auto url = parse_url(options.url);
  if (!url) return report_failure(kLoad, url.error().text());
  if (!url->tls && !options.ca_file.empty()) return report_failure(kLoad, "--ca is for https:// only");
  if (has_control_characters(options.idempotency_key))
    return report_failure(kLoad, "--idempotency-key has control characters");
  const auto file = input_file::open(options.file);
  if (!file) return report_failure(kLoad, file.error().text());
  auto client = http_client::connect(*url, kAnswerWaitMaxS, options.ca_file);
  if (!client) return report_failure(kLoad, client.error().text());
  if (const auto sent = send_request(*client, *url, options, format_of(options)); !sent)
    return report_failure(kLoad, sent.error().text());

  upload_progress progress(file->bytes(), ::isatty(STDERR_FILENO) == 1);
  sender sending(*client, *file, options.gzip, progress);
  sending.start();
  const std::string failed = read_answer(*client, progress);
  sending.stop();
  progress.end();
  if (!sending.trouble().empty()) return report_failure(kLoad, sending.trouble());
  if (!failed.empty()) return report_failure(kLoad, failed);
  if (!progress.has_summary() && !progress.failed())
    return report_failure(kLoad, "the answer ended without a summary");
  return exit_code(progress);
}

}  // namespace syncline::server::command
