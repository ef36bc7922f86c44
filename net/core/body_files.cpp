#include "net/core/body_files.h"

#include <sys/mman.h>
#include <unistd.h>

namespace syncline::net {

body_files::~body_files() {
  for (slot& each : slots_) forget(each);
}

void body_files::forget(slot& s) noexcept {
  if (s.file >= 0) {
    ::close(s.file);
    bytes_ -= s.bytes;
    total_.add(-static_cast<std::int64_t>(s.bytes));
  }
  s = slot();
}

void body_files::forget_the_dead() noexcept {
  for (slot& each : slots_) {
    if (each.key != nullptr && each.alive.expired()) forget(each);
  }
}

int body_files::find(const shared_bytes& body, bool begins) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(body.get());
  slot& s = slots_[(address >> 4U) * 0x9E3779B97F4A7C15ULL >> 58U];
  if (!begins) return s.key == body.get() && !s.alive.expired() ? s.file : -1;
  if (s.key != body.get() || s.alive.expired()) {
    // Who is used often keeps its slot: each use by another takes one of its own away.
    if (s.key != nullptr && !s.alive.expired() && s.uses > 0) {
      --s.uses;
      return -1;
    }
    forget(s);
    s.key = body.get();
    s.alive = body;
  }
  if (s.uses < kUsesMax) ++s.uses;
  if (s.file < 0 && s.uses >= kUsesBeforeFile) make_file(s, *body);
  return s.file;
}

void body_files::make_file(slot& s, const std::string& body) noexcept {
  if (bytes_ + body.size() > bytes_max_) forget_the_dead();
  if (bytes_ + body.size() > bytes_max_) return;
  const int file = ::memfd_create("body", MFD_CLOEXEC);
  if (file < 0) return;
  std::size_t written = 0;
  while (written < body.size()) {
    const ssize_t n = ::write(file, body.data() + written, body.size() - written);
    if (n <= 0) {
      ::close(file);
      return;
    }
    written += static_cast<std::size_t>(n);
  }
  s.file = file;
  s.bytes = body.size();
  bytes_ += s.bytes;
  total_.add(static_cast<std::int64_t>(s.bytes));
}

}  // namespace syncline::net
