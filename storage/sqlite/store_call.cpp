#include "storage/sqlite/store_call.h"

namespace syncline::storage::sqlite {

void complete(std::span<const std::shared_ptr<call_base>> finished) {
  if (finished.empty()) return;
  if (finished.size() == 1) {
    finished[0]->on->post([one = finished[0]] { one->done.notify(); });
    return;
  }
  // There are few cores, so a linear search for each call is cheap.
  std::vector<std::pair<net::core*, std::vector<std::shared_ptr<call_base>>>> by_core;
  for (const auto& call : finished) {
    auto* list = static_cast<std::vector<std::shared_ptr<call_base>>*>(nullptr);
    for (auto& entry : by_core)
      if (entry.first == call->on) list = &entry.second;
    if (list == nullptr)
      list = &by_core.emplace_back(call->on, decltype(by_core)::value_type::second_type{}).second;
    list->push_back(call);
  }
  for (auto& entry : by_core)
    entry.first->post([calls = std::move(entry.second)] {
      for (const auto& call : calls) call->done.notify();
    });
}

}  // namespace syncline::storage::sqlite
