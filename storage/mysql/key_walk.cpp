#include "storage/mysql/key_walk.h"

#include <fmt/format.h>

#include "storage/mysql/column_value.h"
#include "storage/mysql/literal.h"
#include "storage/mysql/text_rows.h"

namespace syncline::storage::mysql {

key_walk::key_walk(sql_connection& db, const resource& of, std::uint32_t range_rows)
    : db_(&db), table_(identifier(of.table)), range_rows_(range_rows) {
  for (const std::size_t k : of.key) columns_.push_back(table_ + "." + identifier(of.columns[k].name));
}

std::string key_walk::compared(const std::vector<std::string>& with, char sign, bool equal) const {
  std::string out = fmt::format("{}{}{}{}", columns_.back(), sign, equal ? "=" : "", with.back());
  for (std::size_t i = columns_.size() - 1; i-- > 0;)
    out = fmt::format("{0}{1}={2} AND ({0}{1}{2} OR ({0}={2} AND {3}))", columns_[i], sign, with[i], out);
  return out;
}

net::task<net::result<bool>> key_walk::next(net::request_context& context) {
  if (started_ && high_.empty()) co_return false;
  started_ = true;
  low_ = std::move(high_);
  high_.clear();
  const std::string above = low_.empty() ? "TRUE" : compared(low_, '>', false);
  auto asking = db_->sql(context, fmt::format("SELECT {0} FROM {1} WHERE {2} ORDER BY {0} LIMIT 1 OFFSET {3}",
                                              joined(columns_, ","), table_, above, range_rows_ - 1));
  net::result<result_rows> last = co_await std::move(asking);
  if (!last) co_return last.error();
  if (!last->rows.empty()) {
    text_arena arena;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const net::result<cell> value = decode_value(last->columns[i], last->rows[0][i], arena);
      if (!value) co_return value.error();
      append_literal(*value, high_.emplace_back());
    }
  }
  condition_ = above;
  if (!high_.empty()) condition_ += " AND " + compared(high_, '<', true);
  co_return true;
}

}  // namespace syncline::storage::mysql
