#include "net/websocket/message_reader.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "net/websocket/deflate.h"
#include "tests/net/websocket_frames.h"

namespace syncline::net::websocket {
namespace {

using testing::at_random;
using testing::every;
using testing::frame;
using testing::from_bytes;
using testing::seen;
using testing::text;

const reader_options kWhole{};

std::vector<seen> read_with(const reader_options& options, std::string_view bytes, testing::split how,
                            role as = role::server) {
  message_reader reader(options, as);
  return testing::read_all(reader, bytes, std::move(how));
}

seen failure(protocol_error e) {
  return {event_kind::failed, std::string(describe(e).reason), static_cast<std::uint16_t>(describe(e).code),
          true};
}

TEST(WebsocketReader, ReadsTheExamplesOfRfc6455Section57) {
  const std::string unmasked = from_bytes({0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f});
  const std::string masked = from_bytes({0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58});
  const std::string fragmented = from_bytes({0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f});
  const std::string ping = from_bytes({0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f});
  const std::string pong = from_bytes({0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58});
  const std::string medium = from_bytes({0x82, 0x7E, 0x01, 0x00}) + std::string(256, 'm');
  const std::string large = from_bytes({0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0}) + std::string(65536, 'l');
  for (const std::size_t n : {1U, 3U, 100'000U}) {
    EXPECT_EQ(read_with(kWhole, unmasked, every(n), role::client), std::vector{text("Hello")});
    EXPECT_EQ(read_with(kWhole, masked, every(n)), std::vector{text("Hello")});
    EXPECT_EQ(read_with(kWhole, fragmented, every(n), role::client), std::vector{text("Hello")});
    const seen pinged{event_kind::ping, "Hello", 1005, true};
    EXPECT_EQ(read_with(kWhole, ping, every(n), role::client), std::vector{pinged});
    const seen ponged{event_kind::pong, "Hello", 1005, true};
    EXPECT_EQ(read_with(kWhole, pong, every(n)), std::vector{ponged});
    EXPECT_EQ(read_with(kWhole, medium, every(n), role::client)[0].bytes, std::string(256, 'm'));
    EXPECT_EQ(read_with(kWhole, large, every(n), role::client)[0].bytes, std::string(65536, 'l'));
  }
}

struct bad_frames {
  const char* name;
  std::string bytes;
  protocol_error error;
};

std::vector<bad_frames> all_bad_frames() {
  using pe = protocol_error;
  const std::string key(4, 'k');
  std::vector<bad_frames> out = {
      {"Rsv1", from_bytes({0xC1, 0x80}), pe::reserved_bits},
      {"Rsv2", from_bytes({0xA1, 0x80}), pe::reserved_bits},
      {"Rsv3OnPing", from_bytes({0x99, 0x80}), pe::reserved_bits},
      {"LongPing", from_bytes({0x89, 0xFE}), pe::long_control},
      {"LongerPing", from_bytes({0x89, 0xFF}), pe::long_control},
      {"FragmentedPing", from_bytes({0x09, 0x80}), pe::fragmented_control},
      {"FragmentedClose", from_bytes({0x08, 0x80}), pe::fragmented_control},
      {"LoneContinuation", from_bytes({0x80, 0x80}), pe::lone_continuation},
      {"ContinuationAfterTheEnd", frame({.op = opcode::text}, "a") + from_bytes({0x00, 0x80}),
       pe::lone_continuation},
      {"TextInsideText", frame({.op = opcode::text, .final = false}, "a") + from_bytes({0x81, 0x80}),
       pe::interrupted_message},
      {"NotMasked", from_bytes({0x81, 0x01}), pe::not_masked},
      {"LengthOf125InTwoBytes", from_bytes({0x82, 0xFE, 0, 125}) + key, pe::length_not_minimal},
      {"LengthOf65535InEightBytes", from_bytes({0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF}) + key,
       pe::length_not_minimal},
      {"LengthOf64Bits", from_bytes({0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0}) + key, pe::length_over_63_bits},
      {"LengthOf63Bits", from_bytes({0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}) + key,
       pe::frame_too_large},
      {"CloseOfOneByte", frame({.op = opcode::close}, "a"), pe::bad_close_payload},
      {"CloseReasonIsNotUtf8", frame({.op = opcode::close}, from_bytes({3, 0xE8, 0xC3})), pe::bad_utf8},
      {"TextIsNotUtf8", frame({.op = opcode::text}, "caf\xC3("), pe::bad_utf8},
      {"TextEndsInsideASequence", frame({.op = opcode::text}, "caf\xC3"), pe::bad_utf8},
  };
  for (const unsigned op : {3U, 4U, 5U, 6U, 7U, 11U, 12U, 13U, 14U, 15U}) {
    out.push_back({"ReservedOpcode", from_bytes({0x80 | op, 0x80}), pe::reserved_opcode});
  }
  for (const unsigned code :
       {0U, 999U, 1004U, 1005U, 1006U, 1015U, 1016U, 1100U, 2000U, 2999U, 5000U, 65535U}) {
    out.push_back({"CloseCode", frame({.op = opcode::close}, from_bytes({code >> 8U, code & 0xFFU})),
                   pe::bad_close_code});
  }
  return out;
}

// Valid frames before the bad one are given out first (Autobahn 3.2, 4.1.3), and what is behind it never.
TEST(WebsocketReader, RefusesEveryBadFrameAfterTheGoodOnesBeforeIt) {
  const std::string good = frame({.op = opcode::text}, "good") + frame({.op = opcode::ping}, "p");
  const std::string behind = frame({.op = opcode::text}, "behind");
  for (const bad_frames& bad : all_bad_frames()) {
    std::vector<seen> wanted;
    for (const std::size_t n : {1U, 2U, 1'000'000U}) {
      const auto got = read_with(kWhole, good + bad.bytes + behind, every(n));
      ASSERT_GE(got.size(), 3U) << bad.name;
      EXPECT_EQ(got[0], text("good")) << bad.name;
      EXPECT_EQ(got[1].what, event_kind::ping) << bad.name;
      EXPECT_EQ(got.back(), failure(bad.error)) << bad.name;
      if (wanted.empty()) wanted = got;
      EXPECT_EQ(got, wanted) << bad.name;
    }
  }
}

TEST(WebsocketReader, AClientRefusesMaskedFrames) {
  EXPECT_EQ(read_with(kWhole, frame({.op = opcode::text}, "a"), every(100), role::client),
            std::vector{failure(protocol_error::masked)});
}

TEST(WebsocketReader, EveryFailureStays) {
  message_reader reader(kWhole, role::server);
  std::string bytes = from_bytes({0xA1, 0x80}) + frame({.op = opcode::text}, "a");
  std::span<char> in(bytes);
  for (int i = 0; i < 3; ++i) {
    const message_event e = reader.next(in);
    EXPECT_EQ(e.what, event_kind::failed);
    EXPECT_EQ(e.code, close_code::protocol_error);
    EXPECT_TRUE(in.empty());
  }
}

// The bad byte is in the middle of a frame whose rest never comes (Autobahn 6.4.3).
TEST(WebsocketReader, FailsAtTheFirstBadByteInsideAFrame) {
  const std::string all =
      frame({.op = opcode::text}, "\xCE\xBA\xE1\xBD\xB9\xF4\x90\x80\x80 and a lot more that is not sent");
  for (const bool whole : {true, false}) {
    reader_options options;
    options.whole_messages = whole;
    const auto before = read_with(options, std::string_view(all).substr(0, 6 + 6), every(1));
    EXPECT_TRUE(before.empty() || before.back().what != event_kind::failed);
    const auto at = read_with(options, std::string_view(all).substr(0, 6 + 7), every(1));
    ASSERT_FALSE(at.empty());
    EXPECT_EQ(at.back(), failure(protocol_error::bad_utf8));
  }
}

TEST(WebsocketReader, ControlFramesComeBetweenFragments) {
  const std::string bytes =
      frame({.op = opcode::text, .final = false}, "a\xE2\x82") + frame({.op = opcode::ping}, "ping") +
      frame({.op = opcode::continuation, .final = false}, "\xAC") + frame({.op = opcode::pong}, "") +
      frame({.op = opcode::continuation}, "") + frame({.op = opcode::text}, "next");
  for (const std::size_t n : {1U, 2U, 7U, 1000U}) {
    const auto got = read_with(kWhole, bytes, every(n));
    ASSERT_EQ(got.size(), 4U);
    EXPECT_EQ(got[0], (seen{event_kind::ping, "ping", 1005, true}));
    EXPECT_EQ(got[1], (seen{event_kind::pong, "", 1005, true}));
    EXPECT_EQ(got[2], text("a\xE2\x82\xAC"));
    EXPECT_EQ(got[3], text("next"));
  }
}

TEST(WebsocketReader, ReadsCloseCodesAndIgnoresWhatFollows) {
  for (const unsigned code : {1000U, 1003U, 1007U, 1011U, 1014U, 3000U, 4999U}) {
    const std::string bytes =
        frame({.op = opcode::close}, from_bytes({code >> 8U, code & 0xFFU}) + "because") +
        frame({.op = opcode::ping}, "late") + from_bytes({0xFF, 0xFF});
    for (const std::size_t n : {1U, 1000U}) {
      EXPECT_EQ(read_with(kWhole, bytes, every(n)),
                (std::vector{seen{event_kind::close, "because", static_cast<std::uint16_t>(code), true}}));
    }
  }
  EXPECT_EQ(read_with(kWhole, frame({.op = opcode::close}, ""), every(1)),
            (std::vector{seen{event_kind::close, "", 1005, true}}));
}

TEST(WebsocketReader, LimitsAreCheckedOnWhatIsAnnounced) {
  reader_options options;
  options.limits.frame_bytes_max = 300;
  options.limits.message_bytes_max = 500;
  options.limits.fragments_max = 3;
  const std::string start = frame({.op = opcode::binary, .final = false}, std::string(300, 'a'));
  const auto more = [](std::size_t n, bool final = false) {
    return frame({.op = opcode::continuation, .final = final}, std::string(n, 'b'));
  };
  const auto last_of = [&](const std::string& bytes) { return read_with(options, bytes, every(1)).back(); };
  EXPECT_EQ(last_of(frame({.op = opcode::binary}, std::string(301, 'a')).substr(0, 8)),
            failure(protocol_error::frame_too_large));
  EXPECT_EQ(last_of(start + more(200, true)).bytes.size(), 500U);
  EXPECT_EQ(last_of(start + more(201).substr(0, 8)), failure(protocol_error::message_too_large));
  EXPECT_EQ(last_of(start + more(0) + more(0, true)).bytes.size(), 300U);
  EXPECT_EQ(last_of(start + more(0) + more(0) + more(0)), failure(protocol_error::too_many_fragments));
  EXPECT_EQ(describe(protocol_error::too_many_fragments).code, close_code::too_big);
  // Each message has the limits to itself.
  const std::string twice = start + more(200, true) + start + more(200, true);
  EXPECT_EQ(read_with(options, twice, every(64)).size(), 2U);
}

// Autobahn 9.3 and 9.4. A reader that looked at the message again for each fragment would read 137 GB here.
TEST(WebsocketReader, ReadsSixtyFiveThousandFragments) {
  std::string bytes = frame({.op = opcode::text, .final = false}, std::string(64, 'a'));
  for (int i = 0; i < 65534; ++i) {
    bytes += frame({.op = opcode::continuation, .final = false}, std::string(64, 'a'));
  }
  bytes += frame({.op = opcode::continuation}, std::string(64, 'a'));
  for (const std::size_t n : {std::size_t{64}, std::size_t{4096}, bytes.size()}) {
    const auto got = read_with(kWhole, bytes, every(n));
    ASSERT_EQ(got.size(), 1U);
    EXPECT_EQ(got[0].bytes.size(), 65536U * 64);
  }
}

TEST(WebsocketReader, StreamingHandsPiecesOnAsTheyCome) {
  reader_options options;
  options.whole_messages = false;
  message_reader reader(options, role::server);
  std::string bytes =
      frame({.op = opcode::text, .final = false}, "one ") + frame({.op = opcode::continuation}, "two");
  std::span<char> in(bytes);
  message_event e = reader.next(in);
  EXPECT_EQ(e.bytes, "one ");
  EXPECT_TRUE(e.first && !e.last);
  EXPECT_FALSE(reader.idle());
  e = reader.next(in);
  EXPECT_EQ(e.bytes, "two");
  EXPECT_TRUE(!e.first && e.last);
  EXPECT_EQ(reader.next(in).what, event_kind::need_more);
  EXPECT_TRUE(reader.idle());
}

TEST(WebsocketReader, AMessageInOnePieceIsNotCopied) {
  message_reader reader(kWhole, role::server);
  std::string bytes = frame({.op = opcode::binary}, std::string(5000, 'a'));
  std::span<char> in(bytes);
  const message_event e = reader.next(in);
  EXPECT_EQ(e.bytes.data(), bytes.data() + 8);
}

std::string random_frames(std::mt19937& random) {
  std::string out;
  bool open = false;
  for (int i = 0; i < 30; ++i) {
    const std::string payload(random() % 5 == 0 ? random() % 70'000 : random() % 130,
                              static_cast<char>('a' + random() % 26));
    if (random() % 4 == 0) {
      out += frame({.op = random() % 2 == 0 ? opcode::ping : opcode::pong}, payload.substr(0, 125),
                   static_cast<mask_key>(random()));
      continue;
    }
    const bool final = random() % 2 == 0;
    const opcode start = random() % 2 == 0 ? opcode::text : opcode::binary;
    out += frame({.op = open ? opcode::continuation : start, .final = final}, payload,
                 static_cast<mask_key>(random()));
    open = !final;
  }
  return out;
}

TEST(WebsocketReader, EventsDoNotDependOnHowBytesArrive) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 30; ++round) {
    std::string bytes = random_frames(random);
    if (round % 2 == 0) bytes[random() % bytes.size()] = static_cast<char>(random());
    const auto wanted = read_with(kWhole, bytes, every(bytes.size()));
    EXPECT_EQ(read_with(kWhole, bytes, every(1)), wanted);
    EXPECT_EQ(read_with(kWhole, bytes, at_random(random(), 40)), wanted);
    EXPECT_EQ(read_with(kWhole, bytes, at_random(random(), 9000)), wanted);
  }
}

}  // namespace
}  // namespace syncline::net::websocket
