#include "net/websocket/utf8.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace syncline::net::websocket {
namespace {

bool is_tail(unsigned char c) {
  return c >= 0x80 && c <= 0xBF;
}

// The reference: decode by the definition, then ask whether the number is allowed.
bool is_text(const std::string& text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    const std::size_t length = c < 0x80          ? 1
                               : (c >> 5U) == 6  ? 2
                               : (c >> 4U) == 14 ? 3
                               : (c >> 3U) == 30 ? 4
                                                 : 0;
    if (length == 0 || i + length > text.size()) return false;
    unsigned code = length == 1 ? c : c & (0xFFU >> (length + 1));
    for (std::size_t k = 1; k < length; ++k) {
      const auto t = static_cast<unsigned char>(text[i + k]);
      if (!is_tail(t)) return false;
      code = code << 6U | (t & 0x3FU);
    }
    const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (code < least[length] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return false;
    i += length;
  }
  return true;
}

// Could more bytes make a text of it? Tries the lowest and the highest tails, which is all that matters.
bool is_beginning(const std::string& text) {
  for (std::string more : {"", "\x80", "\xBF"}) {
    for (int tails = 0; tails < 4; ++tails) {
      if (is_text(text + more)) return true;
      more += more.empty() ? "" : more.substr(0, 1);
    }
  }
  return false;
}

std::size_t good_bytes(const std::string& text) {
  std::size_t n = 0;
  while (n < text.size() && is_beginning(text.substr(0, n + 1))) ++n;
  return n;
}

std::size_t feed_bytes(const std::string& text) {
  utf8_validator v;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (v.feed(std::string_view(text).substr(i, 1)) != 1) return i;
  }
  return text.size();
}

// Alone, byte by byte, and in the middle of text long enough for the vector paths: what follows is ASCII, so
// an unfinished sequence goes bad right behind it.
void check(const std::string& sequence) {
  const std::size_t wanted = good_bytes(sequence);
  const bool fine = is_text(sequence);
  utf8_validator v;
  ASSERT_EQ(v.feed(sequence), wanted) << ::testing::PrintToString(sequence);
  ASSERT_EQ(v.complete() && wanted == sequence.size(), fine) << ::testing::PrintToString(sequence);
  ASSERT_EQ(feed_bytes(sequence), wanted) << ::testing::PrintToString(sequence);
  static const std::string ascii(40, 'a');
  for (const std::size_t before : {0U, 5U, 33U}) {
    const std::string text = ascii.substr(0, before) + sequence + ascii;
    v.reset();
    ASSERT_EQ(v.feed(text), fine ? text.size() : before + wanted) << ::testing::PrintToString(sequence);
  }
}

std::string bytes(std::initializer_list<unsigned> list) {
  std::string out;
  for (const unsigned c : list) out.push_back(static_cast<char>(c));
  return out;
}

TEST(WebsocketUtf8, EveryOneAndTwoByteSequence) {
  for (unsigned a = 0; a < 256; ++a) {
    check(bytes({a}));
    for (unsigned b = 0; b < 256; ++b) check(bytes({a, b}));
    if (HasFatalFailure()) return;
  }
}

// All 4.2 million whose first byte can begin more than one byte; with any other, it is the case above.
TEST(WebsocketUtf8, EveryThreeByteSequence) {
  std::string text(3, '\0');
  for (unsigned a = 0xC0; a < 256; ++a) {
    for (unsigned b = 0; b < 256; ++b) {
      text = bytes({a, b, 0});
      const std::size_t two = good_bytes(text.substr(0, 2));
      for (unsigned c = 0; c < 256; ++c) {
        text[2] = static_cast<char>(c);
        utf8_validator v;
        const std::size_t got = v.feed(text);
        if (two < 2) {
          ASSERT_EQ(got, two) << ::testing::PrintToString(text);
        } else if (a < 0xF0) {
          ASSERT_EQ(got == 3 && v.complete(), is_text(text)) << ::testing::PrintToString(text);
        } else {
          ASSERT_EQ(got == 3 && !v.complete(), is_tail(static_cast<unsigned char>(c)))
              << ::testing::PrintToString(text);
        }
      }
    }
  }
}

TEST(WebsocketUtf8, TheEdgesOfFourByteSequences) {
  const unsigned tails[] = {0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF};
  for (unsigned a = 0xED; a < 256; ++a) {
    for (const unsigned b : tails) {
      for (const unsigned c : tails) {
        for (const unsigned d : tails) check(bytes({a, b, c, d}));
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(WebsocketUtf8, FailsAtTheFirstBadByte) {
  // Autobahn 6.4: the third byte of F4 90 80 80 is not waited for.
  utf8_validator v;
  EXPECT_EQ(v.feed("\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5\xF4"), 12U);
  EXPECT_EQ(v.feed("\x90"), 0U);
}

std::string random_text(std::mt19937& random, std::size_t sequences) {
  static const std::vector<std::string> kPieces = {
      "plain ascii, a good deal of it, so that vectors are used ",
      "a",
      "\xC3\xA9",
      "\xE2\x82\xAC",
      "\xF0\x9F\x98\x80",
      "\xED\x9F\xBF"};
  std::string out;
  for (std::size_t i = 0; i < sequences; ++i) out += kPieces[random() % kPieces.size()];
  return out;
}

TEST(WebsocketUtf8, TheVerdictDoesNotDependOnSplitsOrTheProcessor) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 2000; ++round) {
    std::string text = random_text(random, 1 + random() % 30);
    if (round % 3 != 0) text[random() % text.size()] = static_cast<char>(random());
    const std::size_t wanted = feed_bytes(text);
    for (const instructions form : {instructions::scalar, instructions::sse2, instructions::avx2}) {
      if (form > best_instructions()) continue;
      utf8_validator whole;
      ASSERT_EQ(whole.feed(text, form), wanted);
      utf8_validator split;
      std::size_t at = 0;
      while (at < text.size()) {
        const std::size_t n = std::min<std::size_t>(1 + random() % 50, text.size() - at);
        const std::size_t took = split.feed(std::string_view(text).substr(at, n), form);
        at += took;
        if (took < n) break;
      }
      ASSERT_EQ(at, wanted);
      ASSERT_EQ(split.complete(), whole.complete());
    }
  }
}

}  // namespace
}  // namespace syncline::net::websocket
