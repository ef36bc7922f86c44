// What only TLS can do wrong: handshakes that fail, stall or are no handshakes, records cut in half, closing,
// resuming, and certificates that change while connections are open.
#include "net/core/tls.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "perf/metrics.h"
#include "tests/net/scripted_server.h"

namespace syncline::net::http {
namespace {

using net::testing::certificate_paths;
using net::testing::make_certificate;
using net::testing::test_certificate;
using net::testing::tls_peer;
using testing::eventually;
using testing::get;
using testing::raw_client;
using testing::response;
using testing::scripted_server;

server_options labelled(const std::string& label) {
  server_options out = testing::quick_options(testing::form::tls);
  out.metrics_label = label;
  return out;
}

// The value of a series; -1 when it is not there.
double metric(const std::string& series) {
  const std::string text = "\n" + perf::metrics::scrape();
  const std::size_t at = text.find("\n" + series + " ");
  return at == std::string::npos ? -1 : std::stod(text.substr(at + series.size() + 2));
}

double failures(const std::string& label, const std::string& reason) {
  return metric("syncline_tls_handshake_failures_total{listener=\"" + label + "\",reason=\"" + reason +
                "\"}");
}

raw_client plain_client(const scripted_server& s) {
  return raw_client(s.serves.port());
}

TEST(Tls, ServesBothVersionsAndNamesTheProtocol) {
  scripted_server s(labelled("versions"));
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    raw_client c = plain_client(s);
    tls_peer::options how;
    how.version_max = how.version_min = version;
    how.protocols = "\x02h2\x08http/1.1";
    how.trusted_file = test_certificate().certificate_file;
    ASSERT_TRUE(c.start_tls(how)) << c.tls().fault();
    const unsigned char* chosen = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(c.tls().get(), &chosen, &size);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(chosen), size), "http/1.1");
    EXPECT_EQ(SSL_version(c.tls().get()), version);
    EXPECT_EQ(c.ask(get("/fast")).body, "fast");
  }
  EXPECT_EQ(metric("syncline_tls_handshakes_total{listener=\"versions\",resumed=\"no\"}"), 2);
}

TEST(Tls, RefusesOldVersionsAndOtherProtocols) {
  scripted_server s(labelled("refuses"));
  raw_client old = plain_client(s);
  tls_peer::options before_12;
  before_12.version_max = before_12.version_min = TLS1_1_VERSION;
  EXPECT_FALSE(old.start_tls(before_12));
  raw_client h2 = plain_client(s);
  tls_peer::options only_h2;
  only_h2.protocols = "\x02h2";
  EXPECT_FALSE(h2.start_tls(only_h2));
  EXPECT_NE(h2.tls().fault().find("no application protocol"), std::string::npos) << h2.tls().fault();
  EXPECT_TRUE(eventually([] { return failures("refuses", "unsupported") == 2; }));
}

TEST(Tls, AClientThatDoesNotTrustUsIsCounted) {
  const tls_options other = certificate_paths();
  make_certificate(other, "other");
  scripted_server s(labelled("distrust"));
  raw_client c = plain_client(s);
  tls_peer::options how;
  how.version_max = TLS1_2_VERSION;  // in TLS 1.3 the alert comes after the server has finished
  how.trusted_file = other.certificate_file;
  EXPECT_FALSE(c.start_tls(how));
  c.send_raw(c.tls().take_records());
  EXPECT_TRUE(eventually([] { return failures("distrust", "alert") == 1; }));
}

TEST(Tls, PlainHttpOnItsPortIsClosedAndCounted) {
  scripted_server s(labelled("plain"));
  raw_client c = plain_client(s);
  c.send(get("/fast"));
  EXPECT_EQ(c.receive_all(), "");
  EXPECT_TRUE(eventually([] { return failures("plain", "plain_http") == 1; }));
  EXPECT_TRUE(eventually([&] { return s.serves.connections() == 0; }));
  EXPECT_EQ(s.handles.requests, 0);
  EXPECT_EQ(s.connect().ask(get("/fast")).status, 200);
}

TEST(Tls, GarbageInsteadOfAHelloIsClosedAndCounted) {
  scripted_server s(labelled("garbage"));
  std::vector<std::string> all{std::string(200, '\0'), std::string(200, '\xff'), "OPTIONS * HTTP/1.1\r\n\r\n",
                               std::string("\x16\x03\x01\xff\xff", 5) + std::string(300, 'x'),
                               std::string("\x17\x03\x03\x00\x05hello", 10)};
  for (const std::string& bytes : all) {
    raw_client c = plain_client(s);
    c.send(bytes);
    c.receive_all();  // perhaps an alert; then the end, else this waits until patience ends and the count
                      // below is late
    EXPECT_TRUE(eventually([&] { return s.serves.connections() == 0; }));
  }
  EXPECT_EQ(failures("garbage", "not_tls") + failures("garbage", "other"), static_cast<double>(all.size()));
  EXPECT_GE(failures("garbage", "not_tls"), 3);
  EXPECT_EQ(s.connect().ask(get("/fast")).status, 200);
}

TEST(Tls, AHandshakeThatStallsIsTimedOut) {
  server_options options = labelled("stalls");
  options.limit.tls_handshake_timeout_ms = 50;
  scripted_server s(options);
  tls_peer half{{}};
  half.shake_hands();
  const std::string hello = half.take_records();
  for (const std::size_t sent : {std::size_t{0}, std::size_t{3}, hello.size() / 2, hello.size()}) {
    raw_client c = plain_client(s);
    c.send(std::string_view(hello).substr(0, sent));
    c.receive_all();
    EXPECT_TRUE(eventually([&] { return s.serves.connections() == 0; })) << sent;
  }
  EXPECT_EQ(failures("stalls", "timeout"), 4);
  EXPECT_EQ(metric("syncline_http_timeouts_total{kind=\"handshake\",listener=\"stalls\"}"), 4);
}

TEST(Tls, AHandshakeThatTricklesIsServed) {
  scripted_server s(labelled("trickles"));
  raw_client c = plain_client(s);
  tls_peer peer{{}};
  peer.shake_hands();
  for (const char byte : peer.take_records()) c.send(std::string_view(&byte, 1));
  while (!peer.shake_hands()) {
    ASSERT_FALSE(peer.broken()) << peer.fault();
    const std::string_view records = c.receive_piece();
    ASSERT_FALSE(records.empty());
    for (const char byte : records) {
      peer.give_records(std::string_view(&byte, 1));
      peer.shake_hands();
    }
  }
  for (const char byte : peer.take_records() + peer.encrypt(get("/fast"))) c.send(std::string_view(&byte, 1));
  std::string plain;
  while (plain.find("fast") == std::string::npos) {
    const std::string_view records = c.receive_piece();
    ASSERT_FALSE(records.empty());
    peer.give_records(records);
    plain += peer.decrypt();
  }
  EXPECT_EQ(plain.substr(0, 15), "HTTP/1.1 200 OK");
}

TEST(Tls, ResetAndEndInEveryStateLeaveTheServerWhole) {
  scripted_server s(labelled("resets"));
  tls_peer half{{}};
  half.shake_hands();
  const std::string hello = half.take_records();
  for (const bool reset : {false, true}) {
    for (const std::size_t sent : {std::size_t{0}, std::size_t{3}, hello.size() / 2, hello.size()}) {
      raw_client c = plain_client(s);
      c.send(std::string_view(hello).substr(0, sent));
      reset ? c.reset() : c.close();
    }
    // After the handshake: in the middle of a record, and while the answer is written.
    raw_client cut = s.connect(), reads_nothing = s.connect(4096);
    const std::string record = cut.tls().encrypt(get("/fast"));
    cut.send_raw(std::string_view(record).substr(0, record.size() / 2));
    reset ? cut.reset() : cut.drop();
    const std::uint64_t before = s.handles.sent;
    reads_nothing.send(get("/endless"));
    ASSERT_TRUE(eventually([&] { return s.handles.sent > before; }));
    reset ? reads_nothing.reset() : reads_nothing.drop();
  }
  EXPECT_TRUE(eventually([&] { return s.serves.connections() == 0; }));
  EXPECT_EQ(failures("resets", "closed"), 8);
  EXPECT_EQ(s.handles.requests, 2);
  EXPECT_EQ(s.connect().ask(get("/fast")).status, 200);
}

TEST(Tls, ARecordThatWasChangedOnItsWayEndsTheConnection) {
  scripted_server s(labelled("changed"));
  raw_client c = s.connect();
  std::string record = c.tls().encrypt(get("/fast"));
  record[record.size() / 2] = static_cast<char>(record[record.size() / 2] ^ 1);
  c.send_raw(record);
  EXPECT_EQ(c.receive_all(), "");
  EXPECT_TRUE(c.tls().broken());  // our alert says why
  EXPECT_TRUE(eventually([&] { return s.serves.connections() == 0; }));
  EXPECT_EQ(s.handles.requests, 0);
}

// A request that ends with the connection is no request: what was cut off is not taken for whole.
TEST(Tls, AnEndWithoutCloseNotifyIsCountedAndCompletesNothing) {
  scripted_server s(labelled("truncated"));
  // Who leaves with unread bytes (the session tickets) resets the connection, so each reads first.
  raw_client head = s.connect();
  EXPECT_EQ(head.ask(get("/fast")).status, 200);
  head.send("GET /fast HTTP/1.1\r\nHost: a\r\n");
  head.drop();
  raw_client body = s.connect();
  EXPECT_EQ(body.ask(get("/fast")).status, 200);
  body.send("POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc");
  ASSERT_TRUE(eventually([&] { return s.handles.received == 3; }));
  body.drop();
  EXPECT_TRUE(eventually([&] { return s.handles.last_error == errc::closed; }));
  raw_client in_order = s.connect();
  in_order.send_close_notify();
  EXPECT_TRUE(in_order.closed_in_order());
  EXPECT_TRUE(eventually([&] { return s.serves.connections() == 0; }));
  EXPECT_EQ(s.handles.requests, 3);
  EXPECT_EQ(metric("syncline_tls_truncated_total{listener=\"truncated\"}"), 2);
}

TEST(Tls, PutsAPipelinedBatchIntoOneRecord) {
  scripted_server s(labelled("records"), 1);
  raw_client c = s.connect();
  std::string batch;
  for (int i = 0; i < 16; ++i) batch += get("/fast");
  EXPECT_EQ(c.ask(get("/fast")).status, 200);  // what the handshake leaves behind is read
  int records = 0;
  SSL_set_msg_callback_arg(c.tls().get(), &records);
  SSL_set_msg_callback(c.tls().get(),
                       [](int write, int, int type, const void* bytes, std::size_t, SSL*, void* count) {
                         if (write == 0 && type == SSL3_RT_HEADER &&
                             *static_cast<const unsigned char*>(bytes) == SSL3_RT_APPLICATION_DATA)
                           ++*static_cast<int*>(count);
                       });
  c.send(batch);
  for (int i = 0; i < 16; ++i) ASSERT_EQ(c.receive_response().body, "fast");
  EXPECT_EQ(records, 1);
}

TEST(Tls, ResumesOnAnyCoreAndSendsALargeBodyToASlowReader) {
  scripted_server s(labelled("resumes"), 2);
  raw_client first = s.connect();
  EXPECT_EQ(first.ask(get("/fast")).status, 200);
  const std::unique_ptr<SSL_SESSION, decltype(&SSL_SESSION_free)> session(SSL_get1_session(first.tls().get()),
                                                                          &SSL_SESSION_free);
  ASSERT_NE(session, nullptr);
  for (int i = 0; i < 6; ++i) {
    raw_client c(s.serves.port(), 4096);
    tls_peer::options how;
    how.resume = session.get();
    ASSERT_TRUE(c.start_tls(how));
    EXPECT_EQ(SSL_session_reused(c.tls().get()), 1);
    EXPECT_EQ(c.ask(get("/big")).body, *s.handles.big);
  }
  EXPECT_EQ(metric("syncline_tls_handshakes_total{listener=\"resumes\",resumed=\"yes\"}"), 6);
}

TEST(Tls, AskingForRenegotiationOrNewKeysHarmsNobody) {
  scripted_server s(labelled("rekeys"));
  raw_client c = s.connect();
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(SSL_key_update(c.tls().get(), SSL_KEY_UPDATE_REQUESTED), 1);
    EXPECT_EQ(c.ask(get(i % 2 == 0 ? "/fast" : "/slow")).status, 200);
  }
  raw_client old = plain_client(s);
  tls_peer::options how;
  how.version_max = TLS1_2_VERSION;
  ASSERT_TRUE(old.start_tls(how));
  SSL_renegotiate(old.tls().get());
  old.tls().shake_hands();
  old.send_raw(old.tls().take_records());
  EXPECT_TRUE(old.receive_some());
  EXPECT_NE(old.tls().fault().find("no renegotiation"), std::string::npos) << old.tls().fault();
  old.drop();
  EXPECT_TRUE(eventually([&] { return s.serves.connections() == 1; }));
  EXPECT_EQ(c.ask(get("/fast")).status, 200);
}

TEST(Tls, ABurstOfHandshakesIsServedInTurns) {
  scripted_server s(labelled("burst"), 1);
  std::vector<raw_client> clients;
  std::vector<std::unique_ptr<tls_peer>> peers;
  for (int i = 0; i < 60; ++i) {
    clients.push_back(plain_client(s));
    peers.push_back(std::make_unique<tls_peer>(tls_peer::options{}));
    peers.back()->shake_hands();
    clients.back().send(peers.back()->take_records());
  }
  for (std::size_t i = 0; i < clients.size(); ++i) {
    tls_peer& peer = *peers[i];
    while (!peer.shake_hands()) {
      ASSERT_FALSE(peer.broken()) << peer.fault();
      const std::string_view records = clients[i].receive_piece();
      ASSERT_FALSE(records.empty());
      peer.give_records(records);
    }
    clients[i].send(peer.take_records() + peer.encrypt(get("/fast")));
  }
  for (std::size_t i = 0; i < clients.size(); ++i) {
    std::string plain;
    while (plain.find("fast") == std::string::npos) {
      const std::string_view records = clients[i].receive_piece();
      ASSERT_FALSE(records.empty()) << i;
      peers[i]->give_records(records);
      plain += peers[i]->decrypt();
    }
  }
}

TEST(Tls, ReloadIsForNewConnectionsAndLeavesOpenOnesAlone) {
  server_options options = labelled("reload");
  options.tls = certificate_paths();
  make_certificate(options.tls, "first");
  scripted_server s(options);
  raw_client before = s.connect();
  EXPECT_EQ(before.tls().common_name(), "first");
  make_certificate(options.tls, "second");
  ASSERT_TRUE(s.serves.reload_tls().has_value());
  for (int i = 0; i < 8; ++i) EXPECT_EQ(s.connect().tls().common_name(), "second");  // whichever core accepts
  EXPECT_EQ(before.ask(get("/fast")).body, "fast");
  EXPECT_EQ(metric("syncline_tls_reloads_total{listener=\"reload\",result=\"done\"}"), 1);
}

TEST(Tls, AReloadThatCannotBeUsedChangesNothingAndSaysWhy) {
  server_options options = labelled("bad reload");
  options.tls = certificate_paths();
  make_certificate(options.tls, "first");
  scripted_server s(options);
  tls_options other = certificate_paths();
  other.certificate_file = options.tls.certificate_file;
  make_certificate(other, "no key of ours");
  const result<void> mismatch = s.serves.reload_tls();
  ASSERT_TRUE(mismatch.has_error());
  EXPECT_NE(mismatch.error().text().find(options.tls.key_file), std::string::npos) << mismatch.error().text();
  EXPECT_NE(mismatch.error().text().find("key values mismatch"), std::string::npos)
      << mismatch.error().text();
  std::ofstream(options.tls.certificate_file) << "no PEM";
  EXPECT_TRUE(s.serves.reload_tls().has_error());
  EXPECT_EQ(s.connect().tls().common_name(), "first");
  EXPECT_EQ(metric("syncline_tls_reloads_total{listener=\"bad reload\",result=\"refused\"}"), 2);
  EXPECT_EQ(metric("syncline_tls_reloads_total{listener=\"bad reload\",result=\"done\"}"), 0);
}

TEST(Tls, AServerWithoutUsableFilesDoesNotStart) {
  core_group group(core_group_options{1, false});
  group.start();
  testing::scripted_handler handles;
  server_options options = labelled("no files");
  options.tls.key_file = "/nowhere/key.pem";
  server s(group, handles, options);
  const result<void> started = s.start();
  ASSERT_TRUE(started.has_error());
  EXPECT_EQ(started.error().code, errc::invalid);
  EXPECT_NE(started.error().text().find("/nowhere/key.pem"), std::string::npos) << started.error().text();
}

TEST(Tls, OneConnectionTooManyIsClosedWithoutAHandshake) {
  server_options options = labelled("too many");
  options.limit.connections_max = 1;
  scripted_server s(options);
  raw_client one = s.connect();
  EXPECT_EQ(one.ask(get("/fast")).status, 200);
  raw_client two = plain_client(s);
  EXPECT_FALSE(two.start_tls());
  EXPECT_EQ(metric("syncline_http_refused_total{listener=\"too many\"}"), 1);
  EXPECT_EQ(one.ask(get("/fast")).status, 200);
}

}  // namespace
}  // namespace syncline::net::http
