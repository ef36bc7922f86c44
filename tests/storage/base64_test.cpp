#include "storage/base64.h"

#include <gtest/gtest.h>

namespace syncline::storage {
namespace {

std::string encoded(std::string_view bytes, base64_form form) {
  std::string out;
  append_base64(bytes, form, out);
  return out;
}

TEST(Base64, EncodesTheVectorsOfRfc4648) {
  const std::pair<std::string_view, std::string_view> vectors[] = {{"", ""},
                                                                   {"f", "Zg=="},
                                                                   {"fo", "Zm8="},
                                                                   {"foo", "Zm9v"},
                                                                   {"foob", "Zm9vYg=="},
                                                                   {"fooba", "Zm9vYmE="},
                                                                   {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : vectors) {
    EXPECT_EQ(encoded(bytes, base64_form::padded), text);
    EXPECT_EQ(encoded(bytes, base64_form::url), text.substr(0, text.find('=')));
  }
  EXPECT_EQ(encoded("\xFB\xFF\xFE", base64_form::padded), "+//+");
  EXPECT_EQ(encoded("\xFB\xFF\xFE", base64_form::url), "-__-");
}

TEST(Base64, ReadsBackEveryLength) {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    for (const auto form : {base64_form::padded, base64_form::url}) {
      std::string back;
      ASSERT_TRUE(decode_base64(encoded(bytes, form), form, back));
      ASSERT_EQ(back, bytes);
    }
    bytes.push_back(static_cast<char>(i * 37));
  }
}

TEST(Base64, RefusesASecondSpellingOfAValue) {
  std::string out = "kept";
  for (const std::string_view text : {"Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Zm8", "Z", "====", "=",
                                      "Zg==Zg==", "Zm 9v", "Zm9v\n", "-__-"}) {
    EXPECT_FALSE(decode_base64(text, base64_form::padded, out)) << text;
  }
  for (const std::string_view text : {"Zg==", "Zh", "Z", "+//+", "Zm9\xFF"})
    EXPECT_FALSE(decode_base64(text, base64_form::url, out)) << text;
  EXPECT_EQ(out, "kept");
}

}  // namespace
}  // namespace syncline::storage
