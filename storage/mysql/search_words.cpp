#include "storage/mysql/search_words.h"

#include <algorithm>
#include <array>

namespace syncline::storage::mysql {

namespace {

// InnoDB's own list (INFORMATION_SCHEMA.INNODB_FT_DEFAULT_STOPWORD), which ordinary accounts may not read.
constexpr std::array<std::string_view, 36> kStopWords{
    "a",    "about", "an",  "are",  "as",   "at",    "be",  "by",   "com",  "de",  "en",   "for",
    "from", "how",   "i",   "in",   "is",   "it",    "la",  "of",   "on",   "or",  "that", "the",
    "this", "to",    "was", "what", "when", "where", "who", "will", "with", "und", "the",  "www"};

bool is_word(char c) noexcept {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x80 || c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
         (c >= 'A' && c <= 'Z');
}

std::size_t characters(std::string_view text) noexcept {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

bool is_stop_word(std::string_view word) {
  std::string lower(word);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return std::find(kStopWords.begin(), kStopWords.end(), lower) != kStopWords.end();
}

}  // namespace

search_words read_search_words(std::string_view text) {
  std::vector<std::string_view> words;
  for (std::size_t at = 0; at < text.size() && words.size() < kSearchWordsMax;) {
    while (at < text.size() && !is_word(text[at])) ++at;
    std::size_t end = at;
    while (end < text.size() && is_word(text[end])) ++end;
    if (end > at) words.push_back(text.substr(at, end - at));
    at = end;
  }
  search_words out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const bool last = i + 1 == words.size();
    const std::string word(words[i]);
    const std::size_t length = characters(word);
    // A prefix finds longer words in the index, also where it is a stop word; the word itself it does not.
    if (length < kTokenCharactersMin || length > kTokenCharactersMax || is_stop_word(word)) {
      out.patterns.push_back("(^|[^\\p{L}\\p{N}_])" + word + (last ? "" : "([^\\p{L}\\p{N}_]|$)"));
      continue;
    }
    if (!out.boolean_mode.empty()) out.boolean_mode += ' ';
    out.boolean_mode += '+' + word + (last ? "*" : "");
  }
  return out;
}

}  // namespace syncline::storage::mysql
