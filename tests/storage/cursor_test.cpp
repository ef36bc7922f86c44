#include "storage/cursor.h"

#include <gtest/gtest.h>

#include <limits>

#include "storage/base64.h"

namespace syncline::storage {
namespace {

cursor following() {
  cursor out;
  out.generation = 0xFEDCBA9876543210U;
  out.seq = 123456789;
  out.declaration = 42;
  return out;
}

cursor scanning(bool begun, std::string after_key) {
  cursor out = following();
  out.scanning.emplace();
  out.scanning->part = 3;
  out.scanning->begun = begun;
  out.scanning->after_key = std::move(after_key);
  return out;
}

std::string encoded(std::string_view bytes) {
  std::string out;
  append_base64(bytes, base64_form::url, out);
  return out;
}

TEST(Cursor, ReadsBackWhatItWrote) {
  cursor last = following();
  last.seq = std::numeric_limits<std::int64_t>::max();
  cursor beyond = scanning(true, "17,42");
  beyond.note_rows(beyond.seq + 1);
  EXPECT_EQ(beyond.newest(), beyond.seq + 1);
  for (const cursor& c :
       {cursor{}, following(), last, beyond, scanning(false, ""), scanning(true, ""), scanning(true, "17,42"),
        scanning(true, std::string("\0\xFF%2C", 5)), scanning(true, std::string(kKeyBytesMax, 'k'))}) {
    const auto back = cursor::parse(c.text());
    ASSERT_TRUE(back) << back.error().text();
    EXPECT_EQ(*back, c);
  }
}

TEST(Cursor, TextIsUrlSafeAndBounded) {
  const std::string text = scanning(true, std::string(kKeyBytesMax, '\xFF')).text();
  EXPECT_LE(text.size(), kCursorBytesMax);
  EXPECT_EQ(text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
            std::string::npos);
}

TEST(Cursor, BytesAreAsDocumented) {
  EXPECT_EQ(following().text(),
            encoded(std::string("\x01\x00\xFE\xDC\xBA\x98\x76\x54\x32\x10\x00\x00\x00\x00\x07\x5B\xCD\x15"
                                "\x00\x00\x00\x00\x00\x00\x00\x2A",
                                26)));
}

TEST(Cursor, RefusesWhatIsNotOurs) {
  std::string good(26, '\0');
  good[0] = 1;
  ASSERT_TRUE(cursor::parse(encoded(good)));
  const auto changed = [&good](std::size_t at, char to) {
    std::string out = good;
    out[at] = to;
    return encoded(out);
  };
  EXPECT_FALSE(cursor::parse(""));
  EXPECT_FALSE(cursor::parse("not base64!"));
  EXPECT_FALSE(cursor::parse(encoded(good) + "="));
  EXPECT_FALSE(cursor::parse(encoded(good.substr(0, 25))));
  EXPECT_FALSE(cursor::parse(encoded(good + "x")));
  EXPECT_FALSE(cursor::parse(changed(0, 2)));        // version
  EXPECT_FALSE(cursor::parse(changed(1, 8)));        // an unknown flag
  EXPECT_FALSE(cursor::parse(changed(1, 4)));        // rows beyond, but not up to where
  EXPECT_FALSE(cursor::parse(changed(1, 6)));        // begun, but not scanning
  EXPECT_FALSE(cursor::parse(changed(1, 2)));        // begun, but not scanning
  EXPECT_FALSE(cursor::parse(changed(1, 1)));        // scanning, but no part
  EXPECT_FALSE(cursor::parse(changed(10, '\x80')));  // negative seq
  std::string rows = good + std::string(8, '\0');
  rows[1] = 4;
  EXPECT_FALSE(cursor::parse(encoded(rows)));  // rows not beyond the position
  rows.back() = 1;
  EXPECT_TRUE(cursor::parse(encoded(rows)));
  EXPECT_FALSE(cursor::parse(std::string(kCursorBytesMax + 4, 'A')));
  std::string long_key = good + std::string(4 + kKeyBytesMax + 1, '\0');
  long_key[1] = 3;
  EXPECT_FALSE(cursor::parse(encoded(long_key)));
  EXPECT_EQ(cursor::parse("").error().code, net::errc::invalid);
}

}  // namespace
}  // namespace syncline::storage
