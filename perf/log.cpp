// Loggers put a record into the ring of their thread: two clock reads and a copy. The drain thread merges the
// rings by time, writes the text, and so pays for escaping and for the system calls.
//
// Lines come out in the order of their clock reads although threads publish at different moments: a round
// writes only what was stamped before the round *before* it began. A thread would have to be preempted
// between stamp and publish for longer than the flush interval to be out of place.
#include "perf/log.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <limits>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "perf/access_log.h"
#include "perf/log_destination.h"
#include "perf/log_format.h"
#include "perf/log_ring.h"
#include "perf/metrics.h"

namespace syncline::perf {

std::atomic<bool> access_log_on{false};

namespace {

constexpr std::size_t kFieldsMax = 32;
// A longer message, key or value is cut, and the line says by how much. With all of them at the limit a
// record still fits the ring.
constexpr std::size_t kTextBytesMax = 3072;
constexpr std::size_t kKeyBytesMax = 64;
constexpr std::size_t kWriteBytes = 64 * 1024;
static_assert(kTextBytesMax + kFieldsMax * (kTextBytesMax + kKeyBytesMax + sizeof(log_field_header)) +
                  sizeof(log_record_header) <=
              kRingBytes);

constexpr std::array<std::string_view, 6> kLevelNames{"trace", "debug", "info", "warn", "error", "off"};

std::atomic<log_level> g_level{log_level::info};
std::atomic<bool> g_access_wanted{false};

std::int64_t steady_ns() noexcept {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::int64_t wall_ms() noexcept {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

const counter& dropped_counter() {
  static const counter c = metrics::add_counter("syncline_log_dropped_total",
                                                "Log lines lost to a full ring or a failing destination.");
  return c;
}

// Everything the threads share. Never destroyed: a thread may log while static objects are taken down.
struct log_state {
  std::mutex rings_lock;
  std::vector<std::unique_ptr<log_ring>> rings;  // as many as threads ever logged at once
  std::vector<log_ring*> unowned;                // their thread ended; the next new thread takes one over

  std::mutex control_lock;  // start, stop: one at a time
  std::thread drain;

  std::mutex drain_lock;  // what the drain thread reads
  std::condition_variable wake;
  log_destination destination;
  std::chrono::milliseconds flush_interval{20};
  bool stopping = false;
  std::atomic<bool> reopen_asked{
      false};  // without the lock: the drain may hold it while it waits for a slow reader
};

log_state& state() {
  static auto* const s = new log_state;
  return *s;
}

struct ring_lease {
  log_ring* ring = nullptr;
  bool ended = false;

  ~ring_lease() {
    ended = true;
    if (ring == nullptr) return;
    const std::lock_guard hold(state().rings_lock);
    state().unowned.push_back(ring);  // cannot throw: acquire_ring reserved the place
    ring = nullptr;
  }
};

thread_local ring_lease t_lease;

// This thread's ring; none when there is no memory for it, or the thread is past its end.
log_ring* own_ring() {
  if (t_lease.ring != nullptr || t_lease.ended) return t_lease.ring;
  log_state& s = state();
  const std::lock_guard hold(s.rings_lock);
  if (s.unowned.empty()) {
    s.rings.push_back(std::make_unique<log_ring>());
    s.unowned.reserve(s.rings.size());
    t_lease.ring = s.rings.back().get();
  } else {
    t_lease.ring = s.unowned.back();
    s.unowned.pop_back();
  }
  return t_lease.ring;
}

std::uint32_t size32(std::string_view text) noexcept {
  return static_cast<std::uint32_t>(
      std::min<std::size_t>(text.size(), std::numeric_limits<std::uint32_t>::max()));
}

bool put_record(log_ring& ring, log_level level, std::string_view message,
                std::span<const log_field> fields) noexcept {
  std::size_t texts = std::min(message.size(), kTextBytesMax);
  for (const log_field& f : fields) {
    texts += sizeof(log_field_header) + std::min(f.key.size(), kKeyBytesMax) +
             std::min(f.value.size(), kTextBytesMax);
  }
  log_record_header header;
  if (!ring.reserve(sizeof header + texts)) return false;
  header.record_bytes = static_cast<std::uint32_t>(texts);
  header.message_bytes = size32(message);
  header.steady_ns = steady_ns();
  header.wall_ms = wall_ms();
  header.fields = static_cast<std::uint32_t>(fields.size());
  header.level = level;
  ring.put(&header, sizeof header);
  ring.put(message.data(), std::min(message.size(), kTextBytesMax));
  for (const log_field& f : fields) {
    const log_field_header lengths{size32(f.key), size32(f.value)};
    ring.put(&lengths, sizeof lengths);
    ring.put(f.key.data(), std::min(f.key.size(), kKeyBytesMax));
    ring.put(f.value.data(), std::min(f.value.size(), kTextBytesMax));
  }
  ring.commit();
  return true;
}

// Takes the next text of a record: at most `limit` of its `bytes` were stored.
std::string_view take_text(std::string_view& rest, std::size_t bytes, std::size_t limit) {
  const std::string_view text = rest.substr(0, std::min(bytes, limit));
  rest.remove_prefix(text.size());
  return text;
}

// Half a character at the cut would read as damage: leave it out, and say how much is missing.
std::string whole_or_marked(std::string_view stored, std::size_t bytes) {
  while (stored.size() < bytes && !stored.empty() &&
         (static_cast<unsigned char>(stored.back()) & 0xc0U) == 0x80) {
    stored.remove_suffix(1);
  }
  if (stored.size() < bytes && !stored.empty() && static_cast<unsigned char>(stored.back()) >= 0xc0) {
    stored.remove_suffix(1);
  }
  return fmt::format("{}...({} bytes more)", stored, bytes - stored.size());
}

void append_text(std::string& out, std::string_view stored, std::size_t bytes, bool quoted) {
  const bool cut = stored.size() < bytes;
  const std::string marked = cut ? whole_or_marked(stored, bytes) : std::string();
  const std::string_view text = cut ? std::string_view(marked) : stored;
  quoted ? append_quoted_log_value(out, text) : append_log_value(out, text);
}

void append_line_start(std::string& out, std::int64_t at_ms, log_level level) {
  out += "ts=";
  append_log_time(out, at_ms);
  out += " level=";
  out += kLevelNames[static_cast<std::size_t>(level)];
  out += " msg=";
}

void append_line(std::string& out, const log_record_header& header, std::string_view texts) {
  append_line_start(out, header.wall_ms, header.level);
  append_text(out, take_text(texts, header.message_bytes, kTextBytesMax), header.message_bytes, true);
  for (std::uint32_t i = 0; i < header.fields; ++i) {
    log_field_header lengths;
    std::memcpy(&lengths, texts.data(), sizeof lengths);
    texts.remove_prefix(sizeof lengths);
    out += ' ';
    append_log_key(out, take_text(texts, lengths.key_bytes, kKeyBytesMax));
    out += '=';
    append_text(out, take_text(texts, lengths.value_bytes, kTextBytesMax), lengths.value_bytes, false);
  }
  out += '\n';
}

// The drain thread's own memory: buffers that keep their size, and what is still to be told.
class drainer {
 public:
  // Writes what was stamped before `until_ns`.
  void round(log_state& s, std::int64_t until_ns) {
    snapshot_rings(s);
    wall_from_steady_ns_ = wall_ms() * 1'000'000 - steady_ns();
    log_record_header header;
    std::int64_t before_ns = 0;  // until then the oldest records are all in one ring
    while (log_ring* const oldest = find_oldest(until_ns, header, before_ns)) {
      do {
        append(header, oldest->texts(header, spare_));
        oldest->release(header);
        if (lines_.size() >= kWriteBytes) flush(s);
      } while (oldest->peek(header) && header.steady_ns < before_ns);
    }
    report_dropped();
    flush(s);
  }

 private:
  void snapshot_rings(log_state& s) {
    const std::lock_guard hold(s.rings_lock);
    rings_.clear();
    for (const auto& ring : s.rings) rings_.push_back(ring.get());
  }

  void append(const log_record_header& header, std::string_view texts) {
    if (header.fields == kAccessRecord) {
      access_.append(lines_, (header.steady_ns + wall_from_steady_ns_) / 1'000'000, texts);
    } else {
      append_line(lines_, header, texts);
    }
    ++lines_count_;
  }

  // `before_ns`: nobody else has an older record, nor is it for a later round.
  log_ring* find_oldest(std::int64_t until_ns, log_record_header& out, std::int64_t& before_ns) {
    log_ring* oldest = nullptr;
    log_record_header header;
    before_ns = until_ns;
    for (log_ring* const ring : rings_) {
      if (!ring->peek(header) || header.steady_ns >= until_ns) continue;
      if (oldest == nullptr || header.steady_ns < out.steady_ns) {
        if (oldest != nullptr) before_ns = out.steady_ns;
        oldest = ring;
        out = header;
      } else {
        before_ns = std::min(before_ns, header.steady_ns);
      }
    }
    return oldest;
  }

  void report_dropped() {
    for (log_ring* const ring : rings_) untold_ += ring->dropped_lines.exchange(0, std::memory_order_relaxed);
    if (untold_ == 0) return;
    append_line_start(lines_, wall_ms(), log_level::warn);
    fmt::format_to(std::back_inserter(lines_), "\"log lines were dropped\" dropped={}\n", untold_);
    telling_ = std::exchange(untold_, 0);
  }

  void flush(log_state& s) {
    if (lines_.empty()) return;
    if (!s.destination.write(lines_)) {
      dropped_counter().add(lines_count_);
      untold_ += lines_count_ + telling_;
    }
    lines_.clear();
    lines_count_ = 0;
    telling_ = 0;
  }

  std::vector<log_ring*> rings_;
  access_line access_;
  std::int64_t wall_from_steady_ns_ = 0;
  std::string spare_;
  std::string lines_;
  std::uint64_t lines_count_ = 0;  // in lines_, without our own report
  std::uint64_t untold_ = 0;       // dropped, and no line that says so got out yet
  std::uint64_t telling_ = 0;      // told by a line that is in lines_
};

void drain_until_stopped(log_state& s) {
  ::pthread_setname_np(::pthread_self(), "log");
  // jemalloc 5.3 makes a thread's arena at its first allocation and crashes when the kernel has no memory for
  // it (seen under RLIMIT_AS), so that is to be now and not when memory is short.
  dropped_counter().add(0);
  drainer d;
  std::int64_t last_round_ns = steady_ns();
  std::unique_lock hold(s.drain_lock);
  for (bool last = false; !last;) {  // a stop before the first round still gets a round
    s.wake.wait_for(hold, s.flush_interval, [&] { return s.stopping; });
    // Lines logged before the rotation belong into the old file.
    const bool reopen = s.reopen_asked.exchange(false, std::memory_order_acquire);
    last = s.stopping;
    const bool all = last || reopen;
    const std::int64_t until_ns = std::exchange(last_round_ns, steady_ns());
    try {
      d.round(s, all ? std::numeric_limits<std::int64_t>::max() : until_ns);
    } catch (const std::bad_alloc&) {
      // What was taken in this round is lost; the rings bound the rest.
    }
    if (reopen) s.destination.reopen();
  }
}

// Signals are for the threads that expect them; SIGPIPE must not end the server when the log's reader goes
// away. Faults and the sampling profiler's SIGPROF stay.
std::thread start_without_signals(log_state& s) {
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  for (const int keep : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGPROF}) ::sigdelset(&all, keep);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread drain;
  try {
    drain = std::thread([&s] { drain_until_stopped(s); });
  } catch (...) {
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw;
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return drain;
}

void count_dropped(log_ring* ring) noexcept {
  if (ring != nullptr) ring->dropped_lines.fetch_add(1, std::memory_order_relaxed);
  dropped_counter().add();
}

bool put_access(log_ring& ring, const access_entry& entry) noexcept {
  const auto cut = [](std::string_view text, std::size_t most) { return text.substr(0, most); };
  const std::array<std::string_view, 4> texts{cut(entry.method, 64), cut(entry.target, kAccessTextBytesMax),
                                              cut(entry.peer, 64), cut(entry.request_id, 64)};
  struct {
    log_record_header header;
    access_record record;
  } head{};
  std::size_t size = sizeof head.record;
  for (const std::string_view text : texts) size += text.size();
  if (!ring.reserve(sizeof head.header + size)) return false;
  head.header.record_bytes = static_cast<std::uint32_t>(size);
  head.header.steady_ns = std::chrono::nanoseconds(entry.when.time_since_epoch()).count();
  head.header.fields = kAccessRecord;
  head.record = {.route = entry.route.data(),
                 .bytes = entry.bytes,
                 .us = entry.us,
                 .target_bytes = size32(entry.target),
                 .route_bytes = static_cast<std::uint16_t>(entry.route.size()),
                 .status = entry.status,
                 .target_stored = static_cast<std::uint16_t>(texts[1].size()),
                 .id_bytes = static_cast<std::uint16_t>(texts[3].size()),
                 .method_bytes = static_cast<std::uint8_t>(texts[0].size()),
                 .peer_bytes = static_cast<std::uint8_t>(texts[2].size())};
  static_assert(sizeof head == sizeof head.header + sizeof head.record);
  // In one piece but where the ring's memory ends.
  if (char* at = ring.piece(sizeof head.header + size); at != nullptr) {
    std::memcpy(at, &head, sizeof head);
    at += sizeof head;
    for (const std::string_view text : texts) {
      std::memcpy(at, text.data(), text.size());
      at += text.size();
    }
    ring.commit_piece(sizeof head.header + size);
    return true;
  }
  ring.put(&head, sizeof head);
  for (const std::string_view text : texts) ring.put(text.data(), text.size());
  ring.commit();
  return true;
}

void log_or_throw(log_level level, std::string_view message, std::span<const log_field> fields) {
  log_ring* const ring = own_ring();
  if (ring != nullptr && put_record(*ring, level, message, fields.first(std::min(fields.size(), kFieldsMax))))
    return;
  count_dropped(ring);
}

}  // namespace

void log_start(const log_options& options) {
  log_state& s = state();
  const std::lock_guard one_at_a_time(s.control_lock);
  static_cast<void>(dropped_counter());
  {
    const std::lock_guard hold(s.drain_lock);
    s.destination.open(options.path);
    s.flush_interval = std::chrono::milliseconds(std::max(options.flush_interval_ms, std::uint32_t{1}));
    s.stopping = false;
  }
  g_access_wanted.store(options.access, std::memory_order_relaxed);
  log_set_level(options.level);
  if (!s.drain.joinable()) s.drain = start_without_signals(s);
}

void log_stop() {
  log_state& s = state();
  const std::lock_guard one_at_a_time(s.control_lock);
  if (!s.drain.joinable()) return;
  {
    const std::lock_guard hold(s.drain_lock);
    s.stopping = true;
  }
  s.wake.notify_one();
  s.drain.join();
}

void log_reopen() {
  state().reopen_asked.store(true, std::memory_order_release);
}

void log_set_level(log_level level) noexcept {
  g_level.store(level, std::memory_order_relaxed);
  access_log_on.store(g_access_wanted.load(std::memory_order_relaxed) || log_enabled(log_level::debug),
                      std::memory_order_relaxed);
}

void log_prepare_thread() noexcept {
  try {
    static_cast<void>(own_ring());
  } catch (...) {
    // Then the first line tries again.
  }
}

void log_access(const access_entry& entry) noexcept {
  try {
    log_ring* const ring = own_ring();
    if (ring == nullptr || !put_access(*ring, entry)) count_dropped(ring);
  } catch (...) {
    // No memory for a ring: the line is lost, the caller goes on.
  }
}

bool log_enabled(log_level level) noexcept {
  return level != log_level::off && level >= g_level.load(std::memory_order_relaxed);
}

bool parse_log_level(std::string_view text, log_level& out) noexcept {
  const auto* const found = std::ranges::find(kLevelNames, text);
  if (found == kLevelNames.end()) return false;
  out = static_cast<log_level>(found - kLevelNames.begin());
  return true;
}

void log(log_level level, std::string_view message, std::initializer_list<log_field> fields) noexcept {
  if (!log_enabled(level)) return;
  try {
    log_or_throw(level, message, fields);
  } catch (...) {
    // No memory for a ring: the line is lost, the caller goes on.
  }
}

void log_caught(std::string_view message, std::string_view key, std::string_view value) noexcept {
  try {
    try {
      throw;
    } catch (const std::exception& e) {
      if (key.empty()) return log_error(message, {{"text", e.what()}});
      log_error(message, {{key, value}, {"text", e.what()}});
    } catch (...) {
      log_error(message, {{"text", "no std::exception"}});
    }
  } catch (const std::bad_alloc&) {
    log_error(message);
  }
}

}  // namespace syncline::perf
