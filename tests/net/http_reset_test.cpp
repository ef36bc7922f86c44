// Clients that leave, by a reset or by shutting their side down, in each state a connection can be in.
// Timeouts are minutes here, so a connection that ends has noticed it by itself.
#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "tests/net/scripted_server.h"

namespace syncline::net::http {
namespace {

using testing::eventually;
using testing::get;
using testing::quick_options;
using testing::raw_client;
using testing::response;
using testing::scripted_server;

std::string post(const std::string& path, std::size_t length) {
  return "POST " + path + " HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(length) + "\r\n\r\n";
}

server_options patient_options(testing::form over) {
  server_options out = quick_options(over);
  out.limit.header_timeout_ms = out.limit.idle_timeout_ms = out.limit.linger_timeout_ms = 600000;
  out.limit.body_progress_timeout_ms = out.limit.write_progress_timeout_ms = 600000;
  out.limit.body_bytes_per_s_min = 0;
  return out;
}

struct state {
  const char* name;
  int receive_buffer_bytes;
  // Brings the connection into the state; returns once it is there.
  std::function<void(scripted_server&, raw_client&)> reach;
};

std::vector<state> states() {
  return {
      {"Idle", 0,
       [](scripted_server& s, raw_client&) {
         ASSERT_TRUE(eventually([&] { return s.serves.connections() == 1; }));
       }},
      {"IdleBetweenRequests", 0,
       [](scripted_server&, raw_client& c) { ASSERT_EQ(c.ask(get("/fast")).status, 200); }},
      {"MidHead", 0,
       [](scripted_server&, raw_client& c) {
         c.send(get("/fast") + "GET /fast HTTP/1.1\r\nHo");  // read together, mostly
         ASSERT_EQ(c.receive_response().status, 200);
       }},
      {"MidBody", 0,
       [](scripted_server& s, raw_client& c) {
         c.send(post("/sink", 100) + "abc");
         ASSERT_TRUE(eventually([&] { return s.handles.received == 3; }));
       }},
      {"MidChunk", 0,
       [](scripted_server& s, raw_client& c) {
         c.send("POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc");
         ASSERT_TRUE(eventually([&] { return s.handles.received == 3; }));
       }},
      {"ContinueWasSent", 0,
       [](scripted_server&, raw_client& c) {
         c.send("POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n");
         ASSERT_EQ(c.receive_response().status, 100);
       }},
      {"HeadOverItsLimit", 0,
       [](scripted_server&, raw_client& c) {
         c.send("GET /fast HTTP/1.1\r\nHost: a\r\nX: " + std::string(100000, 'x'));
         ASSERT_EQ(c.receive_response().status, 431);
         ASSERT_TRUE(c.send(std::string(100000, 'x')));  // it is still sending
       }},
      {"BodyOverItsLimit", 0,
       [](scripted_server&, raw_client& c) {
         c.send(post("/whole", 1000000) + std::string(100000, 'x'));
         ASSERT_EQ(c.receive_response().status, 413);
         ASSERT_TRUE(c.send(std::string(100000, 'x')));
       }},
      {"BodyNobodyReads", 0,
       [](scripted_server&, raw_client& c) {
         c.send(post("/fast", 60000) + "abc");
         ASSERT_EQ(c.receive_response().status, 200);
       }},
      {"HandlerRuns", 0,
       [](scripted_server& s, raw_client& c) {
         c.send(get("/hold"));
         ASSERT_TRUE(eventually([&] { return s.handles.waiting == 1; }));
       }},
      {"StreamWaits", 0,
       [](scripted_server& s, raw_client& c) {
         c.send(get("/watch"));
         ASSERT_TRUE(eventually([&] { return s.handles.waiting == 1; }));
       }},
      {"StreamBlocked", 4096,
       [](scripted_server& s, raw_client& c) {
         c.send(get("/endless"));
         ASSERT_TRUE(c.receive_some());
         ASSERT_TRUE(eventually([&] { return s.handles.sent > 100000; }));
       }},
      {"AnswerBeingWritten", 4096,
       [](scripted_server&, raw_client& c) {
         std::string many;
         for (int i = 0; i < 12; ++i) many += get("/big");  // 12 MB do not fit into the kernel
         c.send(many);
         ASSERT_TRUE(c.receive_some());
       }},
      {"Lingering", 0,
       [](scripted_server&, raw_client& c) {
         ASSERT_EQ(c.ask("GET nonsense\r\n\r\n").status, 400);
         ASSERT_EQ(c.receive_all(), "");  // its side is shut down: it waits for ours
       }},
  };
}

using form_and_state = std::tuple<testing::form, state>;

class HttpStates : public ::testing::TestWithParam<form_and_state> {
 protected:
  // The server, and a client in the state; none when it did not get there.
  std::optional<raw_client> reach() {
    const state& wanted = std::get<state>(GetParam());
    raw_client c = s.connect(wanted.receive_buffer_bytes);
    wanted.reach(s, c);
    if (HasFatalFailure()) return std::nullopt;
    return c;
  }
  bool all_has_ended() {
    return eventually([&] { return s.serves.connections() == 0 && s.handles.tasks == 0; });
  }
  scripted_server s{patient_options(std::get<testing::form>(GetParam()))};
};

TEST_P(HttpStates, AResetEndsTheConnectionAndNothingElse) {
  std::optional<raw_client> c = reach();
  ASSERT_TRUE(c);
  c->reset();
  EXPECT_TRUE(all_has_ended());
  EXPECT_EQ(s.connect().ask(get("/fast")).status, 200);
}

TEST_P(HttpStates, ACloseEndsTheConnectionAndNothingElse) {
  std::optional<raw_client> c = reach();
  ASSERT_TRUE(c);
  s.handles.released = true;  // a plain answer is not broken off by a close: it may be a half-close
  c->close();
  EXPECT_TRUE(all_has_ended());
  EXPECT_EQ(s.connect().ask(get("/fast")).status, 200);
}

// An endless stream would go on for a client that shut its side down and reads on, unless its handler looks
// at context(); HttpStream.TellsAWaitingStreamThatItsPeerIsGone has one that does.
class HttpEndingStates : public HttpStates {};
std::vector<state> ending_states() {
  std::vector<state> out = states();
  std::erase_if(out, [](const state& each) { return std::string(each.name) == "StreamBlocked"; });
  return out;
}

TEST_P(HttpEndingStates, AHalfCloseEndsTheConnectionInOrder) {
  std::optional<raw_client> c = reach();
  ASSERT_TRUE(c);
  s.handles.released = true;
  c->shut_down_writing();
  // What was on its way arrives, then the end; not a reset.
  while (!c->receive_piece().empty()) {
  }
  EXPECT_FALSE(c->was_reset());
  EXPECT_TRUE(all_has_ended());
}

std::string form_and_state_name(const ::testing::TestParamInfo<form_and_state>& of) {
  const auto& [over, reached] = of.param;
  return std::string(reached.name) + testing::form_name({over, of.index});
}

const auto kForms = ::testing::Values(testing::form::tcp, testing::form::unix_socket, testing::form::tls);

INSTANTIATE_TEST_SUITE_P(Over, HttpEndingStates,
                         ::testing::Combine(kForms, ::testing::ValuesIn(ending_states())),
                         form_and_state_name);

INSTANTIATE_TEST_SUITE_P(Over, HttpStates, ::testing::Combine(kForms, ::testing::ValuesIn(states())),
                         form_and_state_name);

class HttpHalfClose : public testing::over_each_form {};
INSTANTIATE_TEST_SUITE_P(Over, HttpHalfClose, kForms, testing::form_name);

TEST_P(HttpHalfClose, AfterTheWholeRequestEveryAnswerArrives) {
  scripted_server s(patient_options(GetParam()));
  raw_client c = s.connect();
  c.send(post("/echo", 3) + "abc" + get("/slow") + get("/big") + get("/fast"));
  c.shut_down_writing();
  EXPECT_EQ(c.receive_response().body, "abc");
  EXPECT_EQ(c.receive_response().body, "slow");
  EXPECT_EQ(c.receive_response().body, *s.handles.big);
  EXPECT_EQ(c.receive_response().body, "fast");
  EXPECT_TRUE(c.closed_in_order());
}

TEST_P(HttpHalfClose, InTheMiddleOfARequestThereIsNoAnswerToIt) {
  scripted_server s(patient_options(GetParam()));
  for (const std::string& part : {std::string("GET /fa"), post("/sink", 10) + "abc"}) {
    raw_client c = s.connect();
    c.send(get("/fast") + part);
    c.shut_down_writing();
    EXPECT_EQ(c.receive_response().body, "fast");
    EXPECT_TRUE(c.closed_in_order());
  }
}

}  // namespace
}  // namespace syncline::net::http
