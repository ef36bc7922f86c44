// A client's search words as conditions on MySQL's FULLTEXT index.
//
// All words must be there, the last may go on. InnoDB keeps no words that are shorter than
// innodb_ft_min_token_size and no stop words, and a search that requires one finds nothing; those are looked
// for in the columns themselves, so that the answer is that of an index which has them. Words are what the
// index takes for words: letters, digits and '_'. Thread: pure. Bound: kSearchWordsMax words. Failure: none.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace syncline::storage::mysql {

inline constexpr std::size_t kSearchWordsMax = 16;
inline constexpr std::size_t kTokenCharactersMin = 3;   // innodb_ft_min_token_size
inline constexpr std::size_t kTokenCharactersMax = 84;  // innodb_ft_max_token_size

struct search_words {
  std::string boolean_mode;           // for AGAINST(? IN BOOLEAN MODE); empty: the index cannot help
  std::vector<std::string> patterns;  // each for REGEXP_LIKE(…, ?, 'i')
  [[nodiscard]] bool empty() const noexcept { return boolean_mode.empty() && patterns.empty(); }
};
[[nodiscard]] search_words read_search_words(std::string_view text);

}  // namespace syncline::storage::mysql
