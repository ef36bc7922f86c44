#include "net/websocket/deflate_offer.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace syncline::net::websocket {
namespace {

deflate_options taking_over() {
  deflate_options out;
  out.server_no_context_takeover = false;
  out.client_no_context_takeover = false;
  return out;
}

// The answer's text, "-" when every offer is declined, "malformed" when the text is none.
std::string answer(std::string_view offers, const deflate_options& options = taking_over()) {
  const deflate_choice choice = choose_deflate(offers, options);
  if (choice.malformed) return "malformed";
  if (!choice.agreed) return "-";
  std::string out;
  append_answer(*choice.agreed, out);
  return out.substr(std::string_view("permessage-deflate").size());
}

TEST(WebsocketDeflateOffer, AgreesToWhatRfc7692Section71Shows) {
  EXPECT_EQ(answer("permessage-deflate"), "");
  EXPECT_EQ(answer("Permessage-Deflate ;\tserver_no_context_takeover"), "; server_no_context_takeover");
  EXPECT_EQ(answer("permessage-deflate; client_no_context_takeover"), "; client_no_context_takeover");
  EXPECT_EQ(answer("permessage-deflate; server_max_window_bits=10"), "; server_max_window_bits=10");
  EXPECT_EQ(answer("permessage-deflate; server_max_window_bits=\"10\""), "; server_max_window_bits=10");
  EXPECT_EQ(answer("permessage-deflate; client_max_window_bits"), "");
  EXPECT_EQ(answer("permessage-deflate; client_max_window_bits=8"), "; client_max_window_bits=8");
  EXPECT_EQ(
      answer("permessage-deflate; client_max_window_bits; server_max_window_bits=10, permessage-deflate"),
      "; server_max_window_bits=10");
}

TEST(WebsocketDeflateOffer, DeclinesAnOfferItCannotMeetAndTakesTheNext) {
  for (const std::string_view bad :
       {"x-webkit-deflate-frame", "permessage-deflate; unknown", "permessage-deflate; unknown=1",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; client_no_context_takeover=\"x\"",
        "permessage-deflate; client_max_window_bits; client_max_window_bits",
        "permessage-deflate; client_max_window_bits=9; client_max_window_bits=9",
        "permessage-deflate; server_max_window_bits", "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16", "permessage-deflate; server_max_window_bits=010",
        "permessage-deflate; server_max_window_bits=09", "permessage-deflate; server_max_window_bits=1",
        "permessage-deflate; server_max_window_bits=+9", "permessage-deflate; server_max_window_bits=100",
        "permessage-deflate; server_max_window_bits=9; server_max_window_bits=9",
        "permessage-deflate; client_max_window_bits=0", "permessage-deflate; client_max_window_bits=\"1\\0\"",
        // zlib cannot do it.
        "permessage-deflate; server_max_window_bits=8"}) {
    EXPECT_EQ(answer(bad), "-") << bad;
    EXPECT_EQ(answer(std::string(bad) + ", permessage-deflate; server_max_window_bits=11"),
              "; server_max_window_bits=11")
        << bad;
  }
}

TEST(WebsocketDeflateOffer, TextThatIsNoListIsMalformed) {
  for (const std::string_view bad :
       {"permessage-deflate;", "permessage-deflate; ;a", "=1", "permessage-deflate a", "a; b=", "a; b=\"",
        "a; b=\"\"", "a; b=\"c d\"", "a; b=\"c", "a; b=\"c\\", "a; b==c", "\"a\"", "a; \"b\"", "a@b",
        "permessage-deflate, a;"}) {
    EXPECT_EQ(answer(bad), "malformed") << bad;
  }
  EXPECT_EQ(answer(""), "-");
  EXPECT_EQ(answer(" , ,"), "-");
  EXPECT_EQ(answer(",permessage-deflate ,,"), "");
}

TEST(WebsocketDeflateOffer, OurOptionsNarrowWhatIsAgreed) {
  deflate_options options;  // no takeover either way
  EXPECT_EQ(answer("permessage-deflate", options),
            "; server_no_context_takeover; client_no_context_takeover");
  options = taking_over();
  options.server_max_window_bits = 12;
  EXPECT_EQ(answer("permessage-deflate", options), "; server_max_window_bits=12");
  EXPECT_EQ(answer("permessage-deflate; server_max_window_bits=14", options), "; server_max_window_bits=12");
  EXPECT_EQ(answer("permessage-deflate; server_max_window_bits=9", options), "; server_max_window_bits=9");
  options = taking_over();
  options.client_max_window_bits = 11;
  EXPECT_EQ(answer("permessage-deflate; client_max_window_bits", options), "; client_max_window_bits=11");
  EXPECT_EQ(answer("permessage-deflate; client_max_window_bits=10", options), "; client_max_window_bits=10");
  EXPECT_EQ(answer("permessage-deflate; client_max_window_bits=15", options), "; client_max_window_bits=11");
  // It may not be answered when it was not offered; so that no window is kept, there is no takeover.
  EXPECT_EQ(answer("permessage-deflate", options), "; client_no_context_takeover");
  options.enabled = false;
  EXPECT_EQ(answer("permessage-deflate", options), "-");
  EXPECT_EQ(answer("permessage-deflate;", options), "malformed");
}

TEST(WebsocketDeflateOffer, AClientReadsWhatTheServerAnswered) {
  for (const std::string_view offer :
       {"permessage-deflate; client_max_window_bits",
        "permessage-deflate; server_max_window_bits=9; client_max_window_bits=12",
        "permessage-deflate; server_no_context_takeover"}) {
    const deflate_choice choice = choose_deflate(offer, taking_over());
    ASSERT_TRUE(choice.agreed);
    std::string line;
    append_answer(*choice.agreed, line);
    EXPECT_EQ(read_deflate_answer(line), choice.agreed) << line;
  }
  for (const std::string_view bad :
       {"", "permessage-deflate; client_max_window_bits", "x", "permessage-deflate; x",
        "permessage-deflate, permessage-deflate", "permessage-deflate; client_max_window_bits=8"}) {
    EXPECT_FALSE(read_deflate_answer(bad)) << bad;
  }
}

}  // namespace
}  // namespace syncline::net::websocket
