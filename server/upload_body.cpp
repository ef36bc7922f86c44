#include "server/upload_body.h"

namespace syncline::server {

upload_body::upload_body(net::http::exchange& x, bool gzip, std::uint64_t bytes_max)
    : x_(&x), left_bytes_(bytes_max) {
  if (gzip) decoder_.emplace();
  x.set_body_limit(bytes_max);
}

net::task<net::result<std::string_view>> upload_body::next() {
  using piece = net::result<std::string_view>;
  if (!decoder_) co_return co_await x_->read_body();
  for (;;) {
    if (packed_.empty() && !packed_end_) {
      auto more = co_await x_->read_body();
      if (!more) co_return piece(more.error());
      packed_ = *more;
      packed_end_ = packed_.empty();
    }
    piece_.clear();
    if (auto decoded = decoder_->decode(packed_, kPieceBytes, piece_); !decoded) {
      // The client's bytes are damaged, not ours.
      net::error why = decoded.error();
      if (why.code == net::errc::corrupt) why.code = net::errc::invalid;
      co_return piece(std::move(why));
    }
    if (piece_.size() > left_bytes_)
      co_return piece(
          net::error(net::errc::too_large, "the decoded upload is larger than bulk.body_bytes_max"));
    left_bytes_ -= piece_.size();
    if (!piece_.empty()) co_return piece(std::string_view(piece_));
    if (!packed_end_) continue;
    if (!decoder_->complete()) co_return piece(net::error(net::errc::invalid, "the gzip body ends early"));
    co_return piece(std::string_view());
  }
}

}  // namespace syncline::server
