#include "storage/sqlite/put_text.h"

#include <fmt/format.h>

namespace syncline::storage::sqlite {

bool put_text::fits(const table_plan& plan, write_kind kind, std::span<const cell> row,
                    bool or_fail) const noexcept {
  bool same = plan_ == &plan && kind_ == kind && or_fail_ == or_fail && mask_.size() == row.size();
  for (std::size_t i = 0; same && i < row.size(); ++i) same = mask_[i] == row[i].present();
  return same;
}

void put_text::fit(const table_plan& plan, write_kind kind, std::span<const cell> row, bool or_fail) {
  if (fits(plan, kind, row, or_fail)) return;
  plan_ = nullptr;  // the texts fit nothing until all of them are made
  kind_ = kind;
  or_fail_ = or_fail;
  mask_.resize(row.size());
  const resource& of = plan.of();
  std::string names;
  std::string values;
  std::string sets;
  std::string differs;
  for (std::size_t i = 0; i < row.size(); ++i) {
    mask_[i] = row[i].present();
    const std::string name = quoted(of.columns[i].name);
    const std::string value = row[i].present() ? fmt::format("?{}", i + 1) : plan.default_value(i);
    if (row[i].present()) {
      names += fmt::format("{}{}", names.empty() ? "" : ",", name);
      values += fmt::format("{}{}", values.empty() ? "" : ",", value);
    }
    if (of.is_key(i) || plan.generated(i)) continue;
    if (!row[i].present() && kind != write_kind::replace) continue;
    sets += fmt::format("{}{}={}", sets.empty() ? "" : ",", name, value);
    differs += fmt::format("{}{} IS NOT {} COLLATE BINARY", differs.empty() ? "" : " OR ", name, value);
  }
  exists = fmt::format("SELECT 1 FROM {} WHERE {}", plan.name(), plan.key_is(1));
  update = sets.empty() ? std::string()
                        : fmt::format("UPDATE {} SET {} WHERE {} AND ({})", plan.name(), sets,
                                      plan.key_is(static_cast<int>(row.size()) + 1), differs);
  // The key is known to be free, but the index may take other bytes for it; that is told, not an error.
  const std::string into = fmt::format("INSERT {}INTO {}", or_fail ? "OR FAIL " : "", plan.name());
  insert = names.empty() ? into + " DEFAULT VALUES"
                         : fmt::format("{}({}) VALUES({}) ON CONFLICT({}) DO NOTHING", into, names, values,
                                       plan.key_columns());
  plan_ = &plan;
}

}  // namespace syncline::storage::sqlite
