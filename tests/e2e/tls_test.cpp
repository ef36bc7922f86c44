// TLS as the operator meets it: configured, refused when half configured, and renewed while the server runs.
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>

#include "tests/e2e/small_server.h"
#include "tests/net/raw_client.h"
#include "tests/net/test_certificate.h"

namespace syncline::e2e {
namespace {

using net::http::testing::raw_client;
using net::testing::certificate_paths;
using net::testing::make_certificate;

std::string get(const std::string& target, const std::string& lines = {}) {
  return "GET " + target + " HTTP/1.1\r\nHost: localhost\r\n" + lines + "\r\n";
}

std::string certificate_shown(std::uint16_t port) {
  raw_client client(port);
  return client.start_tls() ? client.tls().common_name() : "no handshake: " + client.tls().fault();
}

struct tls_server {
  tls_server() {
    make_certificate(files, "first");
    server.emplace(std::vector<std::string>{"http.tls.certificate=" + files.certificate_file,
                                            "http.tls.key=" + files.key_file, "bulk.batch_rows=200",
                                            "sync.page_rows_max=1000"});
  }
  const net::tls_options files = certificate_paths();
  std::optional<small_server> server;
};

TEST(TlsServer, StreamsOverTlsAndRenewsItsCertificateAtSighup) {
  tls_server s;
  const std::uint16_t port = s.server->port();
  raw_client stream(port);
  net::testing::tls_peer::options how;
  how.trusted_file = s.files.certificate_file;
  ASSERT_TRUE(stream.start_tls(how)) << stream.tls().fault();
  stream.send(get("/v1/sync?resources=items&live=1"));
  EXPECT_NE(stream.receive_until("up_to_date").find("200 OK"), std::string::npos);

  make_certificate(s.files, "second");
  s.server->process->signal(SIGHUP);
  EXPECT_TRUE(eventually([&] { return certificate_shown(port) == "second"; }));
  std::ofstream(s.files.certificate_file) << "half a certificate";
  s.server->process->signal(SIGHUP);
  const std::string refused = "syncline_tls_reloads_total{listener=\"public\",result=\"refused\"}";
  EXPECT_TRUE(eventually([&] {
    const std::string text = fetch(s.server->process->admin_port(), "GET", "/metrics").body;
    return text.find(refused + " 1") != std::string::npos;
  }));
  EXPECT_EQ(certificate_shown(port), "second");

  // The stream opened under the first certificate is alive and gets what another connection writes.
  raw_client writer(port);
  ASSERT_TRUE(writer.start_tls());
  const std::string row = R"({"id":1,"owner":1,"note":"over tls"})";
  const auto written =
      writer.ask("PUT /v1/items/1 HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: " +
                 std::to_string(row.size()) + "\r\n\r\n" + row);
  EXPECT_EQ(written.status / 100, 2) << written.body;
  EXPECT_NE(stream.receive_until("over tls").find("over tls"), std::string::npos);
}

// An upload whose report comes while it is sent, and the copy that is read back, packed.
TEST(TlsServer, LoadAndSyncWork) {
  tls_server s;
  const std::string url = "https://localhost:" + std::to_string(s.server->port());
  const std::string rows = s.server->directory.file("rows.ndjson"), copy = s.server->directory.file("copy");
  constexpr int kRows = 20'000;
  {
    std::ofstream out(rows);
    for (int i = 1; i <= kRows; ++i)
      out << "{\"id\":" << i << ",\"owner\":1,\"note\":\"" << std::string(50, 'x') << "\"}\n";
  }
  const std::string trusted = s.files.certificate_file;
  // The certificate is for "first".
  const command_result other =
      run_syncline({"load", rows, "--url", url, "--resource", "items", "--ca", trusted});
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_NE(other.output.find("ostname mismatch"), std::string::npos) << other.output;
  make_certificate(s.files, "localhost");
  s.server->process->signal(SIGHUP);
  ASSERT_TRUE(eventually([&] { return certificate_shown(s.server->port()) == "localhost"; }));

  const command_result unknown = run_syncline({"load", rows, "--url", url, "--resource", "items"});
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_NE(unknown.output.find("self-signed certificate"), std::string::npos) << unknown.output;
  const command_result nowhere =
      run_syncline({"sync", "--url", url, "--resources", "items", "--live", "--ca", "/nowhere.pem"});
  EXPECT_NE(nowhere.exit_code, 0);
  EXPECT_NE(nowhere.output.find("/nowhere.pem"), std::string::npos) << nowhere.output;

  const command_result plain =
      run_syncline({"sync", "--url", "http" + url.substr(5), "--resources", "items", "--ca", trusted});
  EXPECT_EQ(plain.exit_code, 1);
  EXPECT_NE(plain.output.find("--ca is for https"), std::string::npos) << plain.output;

  const command_result loaded =
      run_syncline({"load", rows, "--url", url, "--resource", "items", "--ca", trusted});
  EXPECT_EQ(loaded.exit_code, 0) << loaded.output;
  const command_result synced =
      run_syncline({"sync", "--url", url, "--resources", "items", "--ca", trusted, "--out", copy});
  EXPECT_EQ(synced.exit_code, 0) << synced.output;
  std::ifstream in(copy);
  int puts = 0;
  for (std::string line; std::getline(in, line);) puts += line.find("\"put\"") != std::string::npos ? 1 : 0;
  EXPECT_EQ(puts, kRows);
}

TEST(TlsServer, AClientThatMeetsNoTlsSaysSo) {
  const small_server plain;
  const command_result got = run_syncline(
      {"sync", "--url", "https://127.0.0.1:" + std::to_string(plain.port()), "--resources", "items"});
  EXPECT_EQ(got.exit_code, 1);
  EXPECT_NE(got.output.find("TLS with the server fails"), std::string::npos) << got.output;
}

TEST(TlsServer, DoesNotStartWithHalfOfIt) {
  small_server other;
  const command_result alone =
      run_syncline({"check-config", "--config", other.config, "--set", "http.tls.key=/x.key"});
  EXPECT_NE(alone.exit_code, 0);
  EXPECT_NE(alone.output.find("http.tls.certificate"), std::string::npos) << alone.output;
  const command_result missing =
      run_syncline({"serve", "--config", other.config, "--set", "http.port=0", "--set", "admin.port=0",
                    "--set", "http.tls.key=/nowhere.key", "--set", "http.tls.certificate=/nowhere.crt"},
                   20000);
  EXPECT_NE(missing.exit_code, 0);
  EXPECT_NE(missing.output.find("/nowhere.crt"), std::string::npos) << missing.output;
}

}  // namespace
}  // namespace syncline::e2e
