// Fields of a collected answer whose columns are known: numbers and texts of the feed's own tables.
//
// Not for rows of the owner (row_select.h). Thread: a value. Lifetime: the result outlives it and the views.
// Failure: none; what is NULL or makes no sense is 0 and the empty text.
#pragma once

#include <cstdint>
#include <string_view>

#include "storage/mysql/answer.h"
#include "storage/mysql/column_value.h"

namespace syncline::storage::mysql {

class small_result {
 public:
  explicit small_result(const result_rows& from) noexcept : from_(&from) {}
  [[nodiscard]] std::size_t size() const noexcept { return from_->rows.size(); }
  [[nodiscard]] bool null(std::size_t row, std::size_t at) const noexcept {
    return from_->rows[row][at].empty();
  }
  [[nodiscard]] std::int64_t integer(std::size_t row, std::size_t at) const {
    text_arena none;
    const auto value = decode_value(from_->columns[at], from_->rows[row][at], none);
    return value && value->k == cell::kind::integer ? value->integer : 0;
  }
  // Of texts and blobs alone, which lie in the result itself.
  [[nodiscard]] std::string_view text(std::size_t row, std::size_t at) const {
    text_arena none;
    const auto value = decode_value(from_->columns[at], from_->rows[row][at], none);
    return value && (value->k == cell::kind::text || value->k == cell::kind::blob) ? value->text
                                                                                   : std::string_view();
  }

 private:
  const result_rows* from_;
};

}  // namespace syncline::storage::mysql
