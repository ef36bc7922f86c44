// What a session sends: its own queue, its range of the turn's broadcasts, control frames.
#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <utility>

#include "net/core/core.h"
#include "net/websocket/endpoint.h"
#include "net/websocket/frame_writer.h"
#include "net/websocket/session.h"
#include "net/websocket/session_output.h"

namespace syncline::net::websocket {

namespace {

constexpr std::size_t kIovecs = 16;

void append_frame(output_queue& queue, const shared_bytes& frame) {
  if (frame->size() > broadcast_log::kCopyBytesMax) {
    queue.append(frame);
  } else {
    queue.append(std::string_view(*frame));
  }
}

}  // namespace

session_output& session::output() {
  if (out_ == nullptr) out_ = shared_->take_output();
  return *out_;
}

std::size_t session::queued_bytes() const noexcept {
  std::size_t out = out_ == nullptr ? 0 : out_->queue.size();
  if (has_range()) out += shared_->broadcasts(shared_form_).bytes(range_from_, range_to_);
  return out;
}

result<void> session::check_room(std::size_t frame_bytes) {
  if (phase_ != phase::open) return error(errc::closed, "the WebSocket is closed");
  if (queued_bytes() + frame_bytes <= shared_->options().send_queue_bytes_max) return result<void>();
  shared_->counts().overloaded.add();
  above_mark_ = above_mark_ || queued_bytes() > 0;  // who was refused hears of the room
  return error(errc::overloaded, "the peer does not read fast enough");
}

void session::queued_message() noexcept {
  shared_->counts().messages_out.add();
  above_mark_ = above_mark_ || queued_bytes() > shared_->options().drained_bytes;
  if (host() != nullptr) host()->flush_later(*this);
}

result<void> session::send(opcode op, std::string_view message) {
  result<void> room = check_room(header_bytes(message.size()) + message.size());
  if (room.has_error()) return room;
  settle_range(0);
  output_queue& queue = output().queue;
  const outgoing_frame frame = writer_.write(op, message);
  char* const to = queue.prepare(frame.header_bytes + frame.payload.size());
  std::memcpy(to, frame.header, frame.header_bytes);
  if (!frame.payload.empty())
    std::memcpy(to + frame.header_bytes, frame.payload.data(), frame.payload.size());
  queue.commit(frame.header_bytes + frame.payload.size());
  queued_message();
  return room;
}

result<void> session::send(const broadcast_message& message) {
  const shared_bytes& frame = message.for_socket(writer_);
  result<void> room = check_room(frame->size());
  if (room.has_error()) return room;
  // Only who will be flushed in this turn may hold on to the turn's log.
  bool by_itself = host() == nullptr || blocked();
  if (!by_itself) {
    broadcast_log& log = shared_->broadcasts(shared_form_);
    std::uint32_t at = log.find_or_append(frame, has_range() ? range_to_ : broadcast_log::kNone);
    if (has_range() && at != range_to_) {  // others were sent something else in between
      settle_range(0);
      at = log.find_or_append(frame, broadcast_log::kNone);
    }
    by_itself = at == broadcast_log::kNone;
    if (!by_itself) {
      if (!has_range()) {
        log.hold();
        range_from_ = at;
      }
      range_to_ = at + 1;
    }
  }
  if (by_itself) append_frame(output().queue, frame);
  queued_message();
  return room;
}

void session::ping(std::string_view payload) {
  if (phase_ != phase::open) return;
  if (output().control_bytes + kControlFrameBytesMax > session_output::kControlBytesMax) return;
  append_control(opcode::ping, payload);
}

void session::close(close_code code, std::string_view reason) {
  if (phase_ != phase::open) return;
  append_close(code, reason);
  our_code_ = code;
  phase_ = phase::closing;
  // A pong that was due is no matter any more: the close handshake has a deadline of its own.
  pinged_ = false;
  end_deadline_ = steady_time::max();
}

void session::append_control(opcode op, std::string_view payload) {
  settle_range(0);
  session_output& out = output();
  const std::size_t n = write_control(out.queue.prepare(kControlFrameBytesMax), op, payload);
  out.queue.commit(n);
  out.control_bytes += n;
  if (host() != nullptr) host()->flush_later(*this);
}

void session::append_close(close_code code, std::string_view reason) {
  settle_range(0);
  session_output& out = output();
  out.owes_pong = false;
  out.queue.commit(write_close(out.queue.prepare(kControlFrameBytesMax), code, reason));
  if (host() != nullptr) host()->flush_later(*this);
}

// Takes the range, without its first `sent` bytes, into our own queue.
void session::settle_range(std::size_t sent) {
  if (!has_range()) return;
  broadcast_log& log = shared_->broadcasts(shared_form_);
  log.copy(range_from_, range_to_, sent, output().queue);
  range_from_ = range_to_ = 0;
  log.release();
}

void session::drop_output() noexcept {
  if (has_range()) shared_->broadcasts(shared_form_).release();
  range_from_ = range_to_ = 0;
  if (out_ != nullptr) shared_->give_back(std::move(out_));
}

void session::flush() noexcept {
  if (phase_ == phase::closed) return;
  guarded([this] { after_write(write_queued()); });
}

// The usual case of a broadcast: nothing of our own waits, and the kernel takes the whole range at once.
io session::write_range() {
  broadcast_log& log = shared_->broadcasts(shared_form_);
  std::array<iovec, kIovecs> parts;  // filled by gather()
  const std::size_t count = log.gather(range_from_, range_to_, parts);
  std::size_t sent = 0;
  const io done = socket_.write_some(std::span(parts).first(count), sent);
  if (done == io::failed) return done;
  shared_->counts().bytes_out.add(sent);
  wrote_some_ = wrote_some_ || sent != 0;
  if (sent != log.bytes(range_from_, range_to_)) {
    settle_range(sent);
    return done;
  }
  range_from_ = range_to_ = 0;
  log.release();
  return io::done;
}

io session::write_queued() {
  if (has_range()) {
    if (out_ != nullptr) {
      settle_range(0);
    } else {
      const io done = write_range();
      if (done != io::done) return done;
    }
  }
  if (out_ == nullptr) return io::done;
  session_output& out = *out_;
  for (;;) {
    if (out.queue.empty() && out.owes_pong && phase_ == phase::open) {
      out.owes_pong = false;
      append_control(opcode::pong, {out.pong.data(), out.pong_bytes});
    }
    if (out.queue.empty()) break;
    std::array<iovec, kIovecs> parts;  // filled by gather()
    const std::size_t count = out.queue.gather(parts);
    std::size_t sent = 0;
    const io done = socket_.write_some(std::span(parts).first(count), sent);
    if (done != io::done) return done;
    out.queue.consume(sent);
    out.control_bytes -= std::min(out.control_bytes, sent);
    shared_->counts().bytes_out.add(sent);
    wrote_some_ = true;
  }
  shared_->give_back(std::move(out_));
  return io::done;
}

void session::after_write(io done) {
  if (done == io::failed) {
    // What the peer said before it went away may still be there to be read, its close frame say.
    drop_output();
    hung_up_ = true;
    socket_.try_reading_again();
    read_all();
    return lost("the connection broke");
  }
  const steady_time now = host()->now();
  if (done == io::blocked) {
    if (std::exchange(wrote_some_, false) || write_deadline_ == steady_time::max()) {
      write_deadline_ = now + std::chrono::milliseconds(shared_->options().write_timeout_ms);
      static_cast<void>(socket_.peer_took_some());  // from here on
    }
  } else {
    write_deadline_ = steady_time::max();
    if (phase_ == phase::closing && end_deadline_ == steady_time::max())
      end_deadline_ = now + std::chrono::milliseconds(shared_->options().close_timeout_ms);
    if (phase_ == phase::finishing && !fin_sent_) {
      fin_sent_ = socket_.shut_down_writing() == io::done;
      end_deadline_ = now + std::chrono::milliseconds(shared_->options().linger_timeout_ms);
    }
  }
  if (above_mark_ && queued_bytes() <= shared_->options().drained_bytes) {
    above_mark_ = false;
    if (phase_ == phase::open) handler_->on_drained(*this);
  }
  if (phase_ == phase::finishing) return linger();
  if (read_paused_ && queued_bytes() <= shared_->options().read_pause_bytes) host()->run_later(*this);
  schedule();
}

}  // namespace syncline::net::websocket
