// /v1/subscribe against the real binary.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <fmt/format.h>

#include "tests/e2e/small_server.h"
#include "tests/e2e/websocket_client.h"

namespace syncline::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string next(websocket_client& client, int timeout_ms = 10000) {
  auto message = client.next_message(timeout_ms);
  return message ? *message : fmt::format("closed {} {}", client.close_code(), client.close_reason());
}

// Messages of a subscription up to the first that says up_to_date, without the name.
std::vector<std::string> until_up_to_date(websocket_client& client, synced_copy* copy = nullptr) {
  std::vector<std::string> out;
  for (;;) {
    const auto message = client.next_message(10000);
    if (!message) {
      ADD_FAILURE() << "closed " << client.close_code() << " " << client.close_reason();
      return out;
    }
    out.push_back(*message);
    if (message->find("\"op\":\"subscribed\"") != std::string::npos) continue;
    if (copy != nullptr) copy->apply(*message);
    if (message->find("\"op\":\"up_to_date\"") != std::string::npos) return out;
  }
}

void put_items(const small_server& server, int from, int to, int owner) {
  std::string lines;
  for (int i = from; i <= to; ++i)
    lines += fmt::format("{{\"id\":{},\"owner\":{},\"name\":\"item {}\"}}\n", i, owner, i);
  const upload_answer got = upload(server.port(), "/v1/items/bulk", lines);
  ASSERT_EQ(got.status, 200);
}

class Subscribe : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Over, Subscribe, ::testing::Bool(),
                         [](const auto& p) { return p.param ? "Deflate" : "Plain"; });

TEST_P(Subscribe, FirstStateThenChangesThenResumeByCursor) {
  const small_server server;
  put_items(server, 1, 60, 1);
  put_items(server, 61, 70, 2);
  const std::string long_note(4000, 'x');  // worth compressing
  ASSERT_EQ(server.send("PATCH", "/v1/items/60", R"({"note":")" + long_note + "\"}").status, 200);
  synced_copy copy;
  std::string cursor;
  {
    websocket_client client(server.port(), "/v1/subscribe", GetParam());
    ASSERT_EQ(client.status(), 101) << client.refusal();
    client.send_text(R"({"op":"subscribe","id":"mine","scope":"user:1"})");
    EXPECT_EQ(next(client), R"({"sub":"mine","op":"subscribed"})");
    const auto first = until_up_to_date(client, &copy);
    EXPECT_EQ(copy.rows().size(), 60U);
    for (const std::string& message : first) EXPECT_THAT(message, StartsWith(R"({"sub":"mine","op":")"));
    ASSERT_EQ(server.send("PATCH", "/v1/items/5", R"({"name":"new"})").status, 200);
    const std::string change = next(client);
    EXPECT_THAT(change, StartsWith(R"({"sub":"mine","op":"put","resource":"items","id":5,"row":{)"));
    EXPECT_THAT(change, HasSubstr("\"new\""));
    copy.apply(change);
    copy.apply(next(client));
    cursor = copy.cursor().value();
    EXPECT_EQ(client.compressed_any(), GetParam());
  }
  ASSERT_EQ(server.send("DELETE", "/v1/items/6", "").status, 204);
  websocket_client again(server.port(), "/v1/subscribe", GetParam());
  again.send_text(R"({"op":"subscribe","id":2,"scope":["user:1"],"since":")" + cursor + "\"}");
  EXPECT_EQ(next(again), R"({"sub":2,"op":"subscribed"})");
  const auto missing = until_up_to_date(again, &copy);
  ASSERT_EQ(missing.size(), 2U);
  EXPECT_EQ(missing[0], R"({"sub":2,"op":"remove","resource":"items","id":6})");
  EXPECT_EQ(copy.rows().size(), 59U);
}

TEST(SubscribeWire, SeveralStreamsShareASocketAndEndAlone) {
  const small_server server;
  websocket_client client(server.port(), "/v1/subscribe");
  client.send_text(R"({"op":"subscribe","id":"a","scope":"user:1"})");
  until_up_to_date(client);
  client.send_text(R"({"op":"subscribe","id":"b","resources":["items"]})");
  until_up_to_date(client);
  ASSERT_EQ(server.send("PUT", "/v1/items/1", R"({"owner":1,"name":"x"})").status, 201);
  std::vector<std::string> puts;
  for (int i = 0; i < 4; ++i) {
    const std::string message = next(client);
    if (message.find("\"put\"") != std::string::npos) puts.push_back(message.substr(0, 10));
  }
  EXPECT_THAT(puts, ::testing::UnorderedElementsAre("{\"sub\":\"a\"", "{\"sub\":\"b\""));
  client.send_text(R"({"op":"unsubscribe","id":"b"})");
  EXPECT_EQ(next(client), R"({"sub":"b","op":"unsubscribed"})");
  ASSERT_EQ(server.send("PUT", "/v1/items/2", R"({"owner":2,"name":"y"})").status, 201);
  ASSERT_EQ(server.send("PUT", "/v1/items/3", R"({"owner":1,"name":"z"})").status, 201);
  EXPECT_THAT(next(client), StartsWith(R"({"sub":"a","op":"put","resource":"items","id":3)"));
}

TEST(SubscribeWire, WhatIsWrongWithASubscriptionLeavesTheSocketOpen) {
  const small_server server({"subscribe.subscriptions_max=2"});
  websocket_client client(server.port(), "/v1/subscribe");
  const auto ask = [&client](std::string_view text) {
    client.send_text(text);
    return next(client);
  };
  EXPECT_THAT(ask(R"({"op":"subscribe","id":1,"scope":"nobody:1"})"),
              StartsWith(R"({"sub":1,"op":"error","type":"/problems/invalid-request")"));
  EXPECT_THAT(ask(R"({"op":"subscribe","id":1,"resources":"nothing"})"), HasSubstr("/problems/not-found"));
  EXPECT_THAT(ask(R"({"op":"subscribe","id":1,"scope":"user:1","since":"zzz"})"), HasSubstr("`since`"));
  EXPECT_THAT(ask(R"({"op":"unsubscribe","id":1})"), HasSubstr("/problems/not-found"));
  EXPECT_THAT(ask(R"({"op":"subscribe","id":1,"scope":"user:1"})"), HasSubstr("subscribed"));
  until_up_to_date(client);
  EXPECT_THAT(ask(R"({"op":"subscribe","id":1,"scope":"user:2"})"), HasSubstr("/problems/conflict"));
  EXPECT_THAT(ask(R"({"op":"subscribe","id":2,"scope":"user:2"})"), HasSubstr("subscribed"));
  until_up_to_date(client);
  EXPECT_THAT(ask(R"({"op":"subscribe","id":3,"scope":"user:3"})"), HasSubstr("/problems/too-large"));
  EXPECT_EQ(client.close_code(), 0);
}

TEST(SubscribeWire, WhatIsNoMessageOfOursClosesWithACode) {
  const small_server server({"subscribe.message_bytes_max=1000"});
  const auto closed_by = [&server](unsigned op, const std::string& payload) {
    websocket_client client(server.port(), "/v1/subscribe");
    client.send_frame(op, payload);
    EXPECT_FALSE(client.next_message(10000).has_value());
    return client.close_code();
  };
  EXPECT_EQ(closed_by(1, "hello"), 1008);
  EXPECT_EQ(closed_by(1, R"({"op":"dance","id":1})"), 1008);
  EXPECT_EQ(closed_by(2, "bytes"), 1003);
  EXPECT_EQ(closed_by(1, "\xFF"), 1007);
  EXPECT_EQ(closed_by(1, std::string(2000, ' ')), 1009);
  EXPECT_EQ(closed_by(3, ""), 1002);
}

TEST(SubscribeWire, RequestsThatAreNoWebSocketAreTold) {
  const small_server server;
  const answer plain = server.get("/v1/subscribe");
  EXPECT_EQ(plain.status, 426);
  EXPECT_EQ(problem_type(plain), "not-a-websocket");
  EXPECT_EQ(server.send("POST", "/v1/subscribe", "{}").status, 405);
  const websocket_client stranger(server.port(), "/v1/subscribe", false,
                                  {"Origin: https://elsewhere.example"});
  EXPECT_EQ(stranger.status(), 403);
  EXPECT_THAT(stranger.refusal(), HasSubstr("origin-not-allowed"));
  const websocket_client own(server.port(), "/v1/subscribe", false, {"Origin: http://127.0.0.1"});
  EXPECT_EQ(own.status(), 101);
  const small_server open({"subscribe.origins=https://a.example,https://elsewhere.example"});
  const websocket_client named(open.port(), "/v1/subscribe", false, {"Origin: https://elsewhere.example"});
  EXPECT_EQ(named.status(), 101);
}

TEST(SubscribeWire, AStopSaysGoingAwayAndTheCursorGoesOnAfterTheRestart) {
  small_server server;
  put_items(server, 1, 20, 1);
  synced_copy copy;
  websocket_client client(server.port(), "/v1/subscribe");
  client.send_text(R"({"op":"subscribe","id":1,"scope":"user:1"})");
  until_up_to_date(client, &copy);
  server.process->signal(SIGTERM);
  EXPECT_FALSE(client.next_message(10000).has_value());
  EXPECT_EQ(client.close_code(), 1001);
  EXPECT_EQ(server.process->wait_for_exit(10000), 0) << server.process->log();
  server.process->start();
  put_items(server, 21, 21, 1);
  websocket_client again(server.port(), "/v1/subscribe");
  again.send_text(R"({"op":"subscribe","id":1,"scope":"user:1","since":")" + copy.cursor().value() + "\"}");
  EXPECT_EQ(until_up_to_date(again, &copy).size(), 3U);  // subscribed, one row, up to date
  EXPECT_EQ(copy.rows().size(), 21U);
}

TEST(SubscribeWire, AnOldCursorIsResetAndTheSubscriptionIsOver) {
  const small_server server;
  put_items(server, 1, 3, 1);
  websocket_client client(server.port(), "/v1/subscribe");
  client.send_text(R"({"op":"subscribe","id":1,"scope":"user:1"})");
  synced_copy copy;
  until_up_to_date(client, &copy);
  // The cursor of another scope.
  client.send_text(R"({"op":"subscribe","id":2,"scope":"user:2","since":")" + copy.cursor().value() + "\"}");
  EXPECT_THAT(next(client), HasSubstr("subscribed"));
  EXPECT_EQ(next(client), R"({"sub":2,"op":"reset","reason":"declaration-changed"})");
  client.send_text(R"({"op":"subscribe","id":2,"scope":"user:2"})");
  EXPECT_THAT(next(client), HasSubstr("subscribed"));
}

TEST(SubscribeWire, ASlowReaderHoldsAPageAndLosesNothing) {
  const small_server server({"sync.page_rows_max=500"});
  for (int from = 1; from <= 4001; from += 1000) put_items(server, from, from + 999, 1);
  websocket_client client(server.port(), "/v1/subscribe");
  client.send_text(R"({"op":"subscribe","id":1,"resources":"items"})");
  client.send_text(R"({"op":"subscribe","id":2,"resources":"items"})");
  synced_copy copies[2];
  for (int done = 0; done < 2;) {
    const std::string message = next(client);
    ASSERT_EQ(client.close_code(), 0) << message;
    if (message.find("subscribed") != std::string::npos) continue;
    if (copies[message[7] - '1'].apply(message)) ++done;
  }
  EXPECT_EQ(copies[0].rows().size(), 5000U);
  EXPECT_EQ(copies[1].rows().size(), 5000U);
}

TEST(SubscribeWire, ARefusedLineIsSentWhenThereIsRoom) {
  // Lines about as large as the whole queue: refused while anything else is unsent.
  const small_server server({"subscribe.send_queue_bytes_max=65536"});
  websocket_client client(server.port(), "/v1/subscribe");
  client.send_text(R"({"op":"subscribe","id":1,"resources":"items"})");
  until_up_to_date(client);
  for (int i = 1; i <= 12; ++i) {
    const std::string note(60'000, 'n');
    ASSERT_EQ(server.send("PUT", fmt::format("/v1/items/{}", i), R"({"note":")" + note + "\"}").status, 201);
  }
  int seen = 0;
  while (seen < 12) {
    const std::string message = next(client);
    ASSERT_EQ(client.close_code(), 0) << message.substr(0, 200);
    if (message.find("\"op\":\"put\"") != std::string::npos) ++seen;
  }
  const std::string too_long(65'500, 'n');
  ASSERT_EQ(server.send("PUT", "/v1/items/99", R"({"note":")" + too_long + "\"}").status, 201);
  std::string message;
  do {
    message = next(client);
    ASSERT_EQ(client.close_code(), 0);
  } while (message.find("\"op\":\"error\"") == std::string::npos);
  EXPECT_THAT(message, HasSubstr("/problems/too-large"));
}

TEST(SubscribeWire, SubscriptionsThatNobodyReadsHoldOnePageASocket) {
  const small_server server({"sync.page_rows_max=1000"});
  std::string lines;
  for (int i = 1; i <= 600; ++i)
    lines += fmt::format("{{\"id\":{},\"note\":\"{}\"}}\n", i, std::string(1000, 'n'));
  ASSERT_EQ(upload(server.port(), "/v1/items/bulk", lines).status, 200);
  const double pages = server.metric("syncline_sync_pages_total");
  websocket_client client(server.port(), "/v1/subscribe");
  for (int i = 0; i < 80; ++i)
    client.send_text(fmt::format(R"({{"op":"subscribe","id":{},"resources":"items"}})", i));
  // All have begun; what the kernel takes lets a few pages out, and then nobody reads another one.
  double before = -1;
  EXPECT_TRUE(eventually([&] {
    const double now = server.metric("syncline_sync_pages_total");
    const bool settled = now == before && now > pages;
    before = now;
    return settled;
  }));
  EXPECT_LT(before - pages, 80);
  for (int up_to_date = 0; up_to_date < 80;) {
    const std::string message = next(client);
    ASSERT_EQ(client.close_code(), 0) << message;
    if (message.find("\"op\":\"up_to_date\"") != std::string::npos) ++up_to_date;
  }
}

}  // namespace
}  // namespace syncline::e2e
