// A value for a `?` of a statement. Text is a view: it is copied when the statement is sent, so it must live
// until the call that takes it returns.
//
// Thread: a value. Blobs go as octets; in plain sql() MySQL wants them marked (`_binary ?`), prepared
// statements take them as they are.
#pragma once

#include <cstdint>
#include <string_view>

#include "storage/cell.h"

namespace syncline::storage::mysql {

class argument {
 public:
  enum class kind : std::uint8_t { null, signed_integer, unsigned_integer, real, text, blob };

  static argument of_null() noexcept { return argument(kind::null); }
  static argument of_int(std::int64_t v) noexcept {
    argument out(kind::signed_integer);
    out.bits_ = static_cast<std::uint64_t>(v);
    return out;
  }
  static argument of_unsigned(std::uint64_t v) noexcept {
    argument out(kind::unsigned_integer);
    out.bits_ = v;
    return out;
  }
  static argument of_real(double v) noexcept {
    argument out(kind::real);
    out.real_ = v;
    return out;
  }
  static argument of_text(std::string_view v) noexcept {
    argument out(kind::text);
    out.text_ = v;
    return out;
  }
  static argument of_blob(std::string_view v) noexcept {
    argument out(kind::blob);
    out.text_ = v;
    return out;
  }
  // An absent cell is NULL.
  static argument of_cell(const cell& from) noexcept {
    switch (from.k) {
      case cell::kind::integer:
        return of_int(from.integer);
      case cell::kind::real:
        return of_real(from.real);
      case cell::kind::text:
        return of_text(from.text);
      case cell::kind::blob:
        return of_blob(from.text);
      case cell::kind::absent:
      case cell::kind::null:
        break;
    }
    return of_null();
  }

  [[nodiscard]] kind what() const noexcept { return kind_; }
  [[nodiscard]] std::int64_t signed_integer() const noexcept { return static_cast<std::int64_t>(bits_); }
  [[nodiscard]] std::uint64_t unsigned_integer() const noexcept { return bits_; }
  [[nodiscard]] double real() const noexcept { return real_; }
  [[nodiscard]] std::string_view text() const noexcept { return text_; }

 private:
  explicit argument(kind k) noexcept : kind_(k) {}
  kind kind_;
  std::uint64_t bits_ = 0;
  double real_ = 0;
  std::string_view text_;
};

}  // namespace syncline::storage::mysql
