#include "server/upload_body.h"

namespace syncline::server {

upload_body::upload_body(net::http::exchange& x, bool gzip, std::uint64_t bytes_max)
    : x_(&x), left_bytes_(bytes_max) {
  if (gzip) decoder_.emplace();
  x.set_body_limit(bytes_max);
}

std::optional<net::result<std::string_view>> upload_body::try_next() {
  using piece = net::result<std::string_view>;
  if (!decoder_) return x_->try_read_body();
  for (;;) {
    if (packed_.empty() && !packed_end_) {
      auto more = x_->try_read_body();
      if (!more || !*more) return more;
      packed_ = **more;
      packed_end_ = packed_.empty();
    }
    piece_.clear();
    if (auto decoded = decoder_->decode(packed_, kPieceBytes, piece_); !decoded) {
      // The client's bytes are damaged, not ours.
      net::error why = decoded.error();
      if (why.code == net::errc::corrupt) why.code = net::errc::invalid;
      return piece(std::move(why));
    }
    if (piece_.size() > left_bytes_)
      return piece(net::error(net::errc::too_large, "the decoded upload is larger than bulk.body_bytes_max"));
    left_bytes_ -= piece_.size();
    if (!piece_.empty()) return piece(std::string_view(piece_));
    if (!packed_end_) continue;
    if (!decoder_->complete()) return piece(net::error(net::errc::invalid, "the gzip body ends early"));
    return piece(std::string_view());
  }
}

net::task<net::result<std::string_view>> upload_body::next() {
  for (;;) {
    auto at_hand = try_next();
    if (at_hand) co_return std::move(*at_hand);
    auto more = co_await x_->read_body();
    if (!decoder_ || !more) co_return std::move(more);
    packed_ = *more;
    packed_end_ = packed_.empty();
  }
}

}  // namespace syncline::server
