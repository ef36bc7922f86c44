#include "storage/key.h"

#include <gtest/gtest.h>

#include <limits>

#include "sample_resource.h"

namespace syncline::storage {
namespace {

resource keyed_by(std::vector<column_type> types) {
  resource out;
  out.name = "things";
  for (std::size_t i = 0; i < types.size(); ++i) {
    out.columns.push_back(make_column("k" + std::to_string(i), types[i]));
    out.key.push_back(i);
  }
  return out;
}

std::string key_json(const resource& of, std::string_view canonical) {
  std::string out;
  append_key_json(of, canonical, out);
  return out;
}

const resource kInteger = keyed_by({column_type::int64});
const resource kText = keyed_by({column_type::string});
const resource kTwo = keyed_by({column_type::int64, column_type::string});
const resource kBytes = keyed_by({column_type::bytes});

TEST(Key, OfARowIsItsCanonicalText) {
  EXPECT_EQ(*key_of_row(kInteger, std::vector{cell::of_int(std::numeric_limits<std::int64_t>::min())}),
            "-9223372036854775808");
  EXPECT_EQ(*key_of_row(kText, std::vector{cell::of_text("50%, or more")}), "50%25%2C or more");
  EXPECT_EQ(*key_of_row(kTwo, std::vector{cell::of_int(17), cell::of_text("a,b")}), "17,a%2Cb");
  EXPECT_EQ(*key_of_row(kBytes, std::vector{cell::of_blob("\x01\xAB")}), "01AB");
  EXPECT_EQ(*key_of_row(kText, std::vector{cell::of_text("")}), "");
}

TEST(Key, ColumnsCannotBeMistakenForEachOther) {
  const resource two_texts = keyed_by({column_type::string, column_type::string});
  const auto left = key_of_row(two_texts, std::vector{cell::of_text("a,b"), cell::of_text("c")});
  const auto right = key_of_row(two_texts, std::vector{cell::of_text("a"), cell::of_text("b,c")});
  const auto encoded = key_of_row(two_texts, std::vector{cell::of_text("a%2Cb"), cell::of_text("c")});
  EXPECT_NE(*left, *right);
  EXPECT_NE(*left, *encoded);
}

TEST(Key, WrongRowNamesItsColumn) {
  for (const cell& wrong : {cell{}, cell::of_null(), cell::of_real(1), cell::of_text("17")}) {
    const auto got = key_of_row(kTwo, std::vector{wrong, cell::of_text("x")});
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, net::errc::invalid);
    EXPECT_NE(got.error().detail.find("things.k0"), std::string::npos) << got.error().detail;
  }
  EXPECT_FALSE(key_of_row(kText, std::vector{cell::of_text(std::string(kKeyBytesMax + 1, 'x'))}));
  EXPECT_TRUE(key_of_row(kText, std::vector{cell::of_text(std::string(kKeyBytesMax, 'x'))}));
  EXPECT_FALSE(key_of_row(kText, std::vector{cell::of_text(std::string(kKeyBytesMax - 1, '%'))}));
}

TEST(Key, SplitsIntoTheCellsItWasMadeOf) {
  text_arena arena;
  const auto cells = split_key(kTwo, "-17,50%25%2C or more", arena);
  ASSERT_TRUE(cells);
  EXPECT_EQ((*cells)[0].integer, -17);
  EXPECT_EQ((*cells)[1].text, "50%, or more");
  EXPECT_EQ(*key_of_row(kTwo, *cells), "-17,50%25%2C or more");
  const auto bytes = split_key(kBytes, "01AB", arena);
  ASSERT_TRUE(bytes);
  EXPECT_EQ((*bytes)[0].k, cell::kind::blob);
  EXPECT_EQ((*bytes)[0].text, "\x01\xAB");
}

TEST(Key, RefusesASecondSpellingOfACanonicalKey) {
  text_arena arena;
  for (const std::string_view text :
       {"", "+1", "01", "-0", " 1", "1 ", "1.0", "9223372036854775808", "1,2", "x"}) {
    EXPECT_FALSE(split_key(kInteger, text, arena)) << text;
  }
  for (const std::string_view text : {"a,b", "%", "%2c", "%41", "%2"})
    EXPECT_FALSE(split_key(kText, text, arena)) << text;
  for (const std::string_view text : {"ab", "A", "0G"}) EXPECT_FALSE(split_key(kBytes, text, arena)) << text;
  for (const std::string_view text : {"1", "1,a,b", "1,", ",a"}) {
    EXPECT_EQ(static_cast<bool>(split_key(kTwo, text, arena)), text == "1,") << text;
  }
}

TEST(Key, FromAPathIsDecodedCheckedAndCanonical) {
  EXPECT_EQ(*key_from_path(kInteger, "17"), "17");
  EXPECT_EQ(*key_from_path(kInteger, "%31%37"), "17");
  EXPECT_EQ(*key_from_path(kTwo, "17,a%2Cb%20%25"), "17,a%2Cb %25");
  EXPECT_EQ(*key_from_path(kText, "a+b"), "a+b");
  EXPECT_EQ(*key_from_path(kText, "%C3%A9"), "\xC3\xA9");
  EXPECT_EQ(*key_from_path(kBytes, "01ab"), "01AB");
}

TEST(Key, FromAPathRefusesWhatNoRowCanHave) {
  for (const std::string_view text : {"", "017", "+17", "17x", "1,2", "99999999999999999999"})
    EXPECT_FALSE(key_from_path(kInteger, text)) << text;
  for (const std::string_view text : {"a,b", "%", "%4", "%zz", "%00", "%FF", "%C3"})
    EXPECT_FALSE(key_from_path(kText, text)) << text;
  EXPECT_FALSE(key_from_path(kText, std::string(kKeyBytesMax + 1, 'a')));
  EXPECT_FALSE(key_from_path(keyed_by({column_type::float64}), "1"));
  EXPECT_EQ(key_from_path(kInteger, "x").error().code, net::errc::invalid);
}

TEST(Key, PathRoundTrips) {
  for (const std::string_view text :
       {"plain", "50%, or more", "a/b?c#d", "\xC3\xA9", " ", "", "a%2Cb", "2026-11-20T12:00:00Z", ".."}) {
    const std::string canonical = *key_of_row(kTwo, std::vector{cell::of_int(-5), cell::of_text(text)});
    const std::string path = key_to_path(canonical);
    EXPECT_EQ(path.find_first_of("/?# "), std::string::npos) << path;
    const auto back = key_from_path(kTwo, path);
    ASSERT_TRUE(back) << path;
    EXPECT_EQ(*back, canonical);
  }
}

TEST(Key, JsonIdIsANumberOnlyForOneInteger) {
  EXPECT_EQ(key_json(kInteger, "-17"), "-17");
  EXPECT_EQ(key_json(kText, "50%25%2C \"x\""), R"("50%, \"x\"")");
  EXPECT_EQ(key_json(kTwo, "17,a%2Cb"), R"("17,a%2Cb")");
  EXPECT_EQ(key_json(kBytes, "01AB"), R"("01AB")");
  resource as_string = kInteger;
  as_string.columns[0].as_string = true;
  EXPECT_EQ(key_json(as_string, "17"), R"("17")");
  EXPECT_EQ(key_json(kText, "bad \xFF"), "\"bad \xEF\xBF\xBD\"")
      << "a line must stay valid JSON whatever the table holds";
}

TEST(Scope, TextIsNameAndCanonicalValue) {
  const auto scope = parse_scope("team:a%2Cb:50%25");
  ASSERT_TRUE(scope);
  EXPECT_EQ(scope->name, "team");
  EXPECT_EQ(scope->value, "a%2Cb:50%25");
  EXPECT_EQ(scope->text(), "team:a%2Cb:50%25");
  for (const std::string_view text : {"", "user", ":42", "user:", "us er:1", "us,er:1", "user:\xFF",
                                      "team:a,b", "team:50%", "team:%41", "team:a%2c"})
    EXPECT_FALSE(parse_scope(text)) << text;
  EXPECT_FALSE(parse_scope(std::string_view("user:\0", 6)));
  EXPECT_FALSE(parse_scope("user:" + std::string(kKeyBytesMax + 1, '1')));
}

TEST(Scope, CellFitsItsColumn) {
  text_arena arena;
  const resource of = sample_resource();
  const auto cell_of = scope_cell(of, of.scopes[0], "42", arena);
  ASSERT_TRUE(cell_of);
  EXPECT_EQ(cell_of->integer, 42);
  const auto wrong = scope_cell(of, of.scopes[0], "me", arena);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, net::errc::invalid);
  EXPECT_NE(wrong.error().detail.find("users.id"), std::string::npos);
  const auto text = scope_cell(of, scope_rule{"name", 1}, "a%2Cb", arena);
  ASSERT_TRUE(text);
  EXPECT_EQ(text->text, "a,b");
}

}  // namespace
}  // namespace syncline::storage
