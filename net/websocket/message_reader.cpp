#include "net/websocket/message_reader.h"

#include <algorithm>
#include <string>

#include "net/websocket/deflate.h"

namespace syncline::net::websocket {

struct message_reader::parts {
  std::string message;        // whole messages: what has come so far
  std::string control;        // of a control frame that came in parts
  std::string_view deflated;  // in the caller's buffer, while inflating_
  bool deflated_last = false;
  inflater_lease stream;
};

message_reader::message_reader(const reader_options& options, role as,
                               const std::optional<deflate_agreement>& deflate, deflate_pool* pool) noexcept
    : frames_(as, deflate.has_value()), options_(&options), pool_(pool), keeps_inflater_(false) {
  if (!deflate) return;
  const bool server = as == role::server;
  keeps_inflater_ = !(server ? deflate->client_no_context_takeover : deflate->server_no_context_takeover);
  window_bits_ = server ? deflate->client_window_bits : deflate->server_window_bits;
}

message_reader::~message_reader() = default;
message_reader::message_reader(message_reader&&) noexcept = default;

message_reader::parts& message_reader::in_progress() {
  if (!parts_) parts_ = std::make_unique<parts>();
  return *parts_;
}

bool message_reader::idle() const noexcept {
  return frames_.idle() && !inflating_;
}

message_event message_reader::next(std::span<char>& in) {
  if (delivered_) forget_delivered();
  while (error_ == protocol_error::none && !closed_) {
    message_event out;
    if (inflating_) {
      out = inflate_some();
    } else {
      frame_piece piece;
      const frame_step step = frames_.next(in, options_->limits, piece);
      if (step == frame_step::failed) {
        out = fail(frames_.error());
      } else if (step == frame_step::need_more) {
        release_unused();
        return out;
      } else {
        out = is_control(piece.op) ? on_control(piece) : on_data(piece);
      }
    }
    if (out.what != event_kind::need_more) return out;
  }
  in = in.last(0);
  parts_.reset();  // nothing more will come of it
  return error_ == protocol_error::none ? message_event{} : fail(error_);
}

message_event message_reader::on_control(const frame_piece& piece) {
  std::string_view payload = piece.bytes;
  if (!piece.frame_begin || !piece.frame_end) {
    std::string& whole = in_progress().control;
    whole.append(payload);
    if (!piece.frame_end) return {};
    payload = whole;
    delivered_ = true;
  }
  if (piece.op == opcode::close) return on_close(payload);
  message_event out;
  out.what = piece.op == opcode::ping ? event_kind::ping : event_kind::pong;
  out.bytes = payload;
  out.first = out.last = true;
  return out;
}

message_event message_reader::on_close(std::string_view payload) {
  message_event out;
  out.what = event_kind::close;
  out.first = out.last = true;
  if (!payload.empty()) {
    const auto high = static_cast<std::uint8_t>(payload[0]);
    const auto low = static_cast<std::uint8_t>(payload[1]);  // frame_parser refuses a payload of one byte
    const auto code = static_cast<std::uint16_t>(high << 8U | low);
    if (!may_be_sent(code)) return fail(protocol_error::bad_close_code);
    out.code = static_cast<close_code>(code);
    out.bytes = payload.substr(2);
    if (!is_utf8(out.bytes)) return fail(protocol_error::bad_utf8);
  }
  closed_ = true;
  return out;
}

message_event message_reader::on_data(const frame_piece& piece) {
  if (piece.message_begin) {
    op_ = piece.op;
    inflated_bytes_ = 0;
    begun_ = false;
    utf8_.reset();
  }
  if (!piece.compressed) return deliver(piece.bytes, piece.message_end);
  parts& now = in_progress();
  if (!now.stream) {
    now.stream = pool_->borrow_inflater(window_bits_);
    if (!now.stream) return fail(protocol_error::no_inflater);
  }
  now.deflated = piece.bytes;
  now.deflated_last = piece.message_end;
  inflating_ = true;
  return {};
}

message_event message_reader::inflate_some() {
  parts& now = *parts_;
  const std::span<char> room = pool_->inflated();
  const inflate_step did = now.stream->run(now.deflated, now.deflated_last, room);
  std::string_view bytes(room.data(), did.produced);
  const std::uint64_t allowed = options_->limits.message_bytes_max - inflated_bytes_;
  const bool too_large = bytes.size() > allowed;
  if (too_large || did.what == inflate_status::corrupt) {
    // The first thing wrong in the message decides, however its reads were cut.
    bytes = bytes.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(allowed, bytes.size())));
    if (op_ == opcode::text && utf8_.feed(bytes) != bytes.size()) return fail(protocol_error::bad_utf8);
    return fail(too_large ? protocol_error::message_too_large : protocol_error::bad_deflate);
  }
  inflated_bytes_ += bytes.size();
  inflating_ = did.what == inflate_status::full;
  const bool last = !inflating_ && now.deflated_last;
  if (last && !keeps_inflater_) now.stream.reset();
  return deliver(bytes, last);
}

message_event message_reader::deliver(std::string_view bytes, bool last) {
  if (op_ == opcode::text && (utf8_.feed(bytes) != bytes.size() || (last && !utf8_.complete()))) {
    return fail(protocol_error::bad_utf8);
  }
  if (options_->whole_messages) {
    const bool in_parts = parts_ && !parts_->message.empty();
    if (!last || in_parts) {
      if (!bytes.empty()) in_progress().message.append(bytes);
      if (!last) return {};
      if (in_parts) bytes = parts_->message;
    }
    delivered_ = parts_ != nullptr;
  } else if (bytes.empty() && !last) {
    return {};
  }
  message_event out;
  out.what = op_ == opcode::text ? event_kind::text : event_kind::binary;
  out.first = !begun_;
  begun_ = true;
  out.last = last;
  out.bytes = bytes;
  return out;
}

message_event message_reader::fail(protocol_error e) noexcept {
  error_ = e;
  inflating_ = false;
  parts_.reset();
  message_event out;
  out.what = event_kind::failed;
  out.code = describe(e).code;
  out.bytes = describe(e).reason;
  return out;
}

void message_reader::abandon() noexcept {
  closed_ = true;
  inflating_ = false;
  delivered_ = false;
  parts_.reset();
}

// The last event was a whole message or a control frame: its bytes are not needed any more. A control frame
// in the middle of a message must leave the message alone.
void message_reader::forget_delivered() noexcept {
  delivered_ = false;
  if (!parts_) return;
  constexpr std::size_t kKeptBytes = 64 * 1024;  // for the next message, if it is already there
  parts_->control.clear();
  if (begun_ && options_->whole_messages) {
    if (parts_->message.capacity() > kKeptBytes) std::string().swap(parts_->message);
    parts_->message.clear();
  }
}

// Called when there is no more input.
void message_reader::release_unused() noexcept {
  if (!parts_ || !frames_.idle()) return;
  if (!parts_->stream) {
    parts_.reset();
    return;
  }
  std::string().swap(parts_->message);
  std::string().swap(parts_->control);
}

}  // namespace syncline::net::websocket
