// How a session is opened: each transport, each rule for TLS, each way to log in, and what is said when it
// fails.
#include <string>

#include <gtest/gtest.h>

#include "storage/mysql/authentication.h"
#include "storage/mysql/server_error.h"
#include "tests/storage/mysql/mysql_fixture.h"

namespace syncline::storage::mysql {
namespace {

using namespace testing;
using namespace std::string_literals;

TEST(MysqlAuthentication, ProofsAreWhatTheServerComputes) {
  EXPECT_EQ(plain_proof("s", "u", "p"), "s\0u\0p"s);
  // From another implementation of SHA-256.
  std::string wanted = "s\0u\0"s;
  wanted.append("C042B1C57D17B3FC616208AC75892C18EB7FD81184776C772E2C6A5F266AE224");
  EXPECT_EQ(sha256_memory_proof("s", "u", "pass", "12345678901234567890"), wanted);
}

class MysqlLogin : public mysql_test {
 protected:
  // An account that never logged in, dropped with the object.
  task<std::string> fresh_account(request_context& context, session& with, std::string how = "") {
    const std::string name = unique("fresh");
    co_await must(context, with,
                  "CREATE USER " + name + "@'%' IDENTIFIED WITH caching_sha2_password BY 'secret' " + how);
    co_await must(context, with,
                  "GRANT ALL ON " + environment("SYNCLINE_TEST_MYSQL_SCHEMA") + ".* TO " + name + "@'%'");
    co_return name;
  }
  [[nodiscard]] std::shared_ptr<session_options> options_of(const std::string& user) const {
    auto out = tcp_options();
    out->user = user;
    out->password = "secret";
    return out;
  }
  // How opening went: "" or the error.
  static task<std::string> tried(request_context& context, std::shared_ptr<const session_options> options) {
    net::result<std::unique_ptr<session>> made = co_await session::open(context, std::move(options));
    co_return made.has_error() ? made.error().text() : std::string();
  }
};

TEST_F(MysqlLogin, ByTlsAndByUnixSocket) {
  run([this]() -> task<void> {
    request_context context(on_);
    auto by_tls = co_await opened(context, tcp_options());
    EXPECT_TRUE(by_tls->encrypted());
    const std::string two = co_await one(context, *by_tls, "SELECT 1 + 1");
    EXPECT_EQ(two, "2");
    EXPECT_NE(by_tls->client_id(), 0U);
    auto by_socket = co_await opened(context, unix_options());
    EXPECT_FALSE(by_socket->encrypted());
    const std::string schema = co_await one(context, *by_socket, "SELECT DATABASE()");
    EXPECT_EQ(schema, environment("SYNCLINE_TEST_MYSQL_SCHEMA"));
  });
}

TEST_F(MysqlLogin, CertificatesAreVerifiedAsAsked) {
  run([this]() -> task<void> {
    request_context context(on_);
    auto options = tcp_options();
    options->tls.mode = net::tls_mode::verify_ca;
    options->tls.ca_file = ca_file_;
    EXPECT_EQ(co_await tried(context, options), "");
    options->tls.mode = net::tls_mode::verify_identity;
    EXPECT_EQ(co_await tried(context, options), "") << "the certificate names 127.0.0.1";
    options->host = "localhost";
    const std::string other_name = co_await tried(context, options);
    EXPECT_NE(other_name.find("ostname mismatch"), std::string::npos) << other_name;
    options = tcp_options();
    options->tls.mode = net::tls_mode::verify_ca;
    const std::string unknown = co_await tried(context, options);
    EXPECT_NE(unknown.find("TLS with the server fails"), std::string::npos) << unknown;
    options->tls.ca_file = "/nonexistent/ca.pem";
    const std::string missing = co_await tried(context, options);
    EXPECT_NE(missing.find("/nonexistent/ca.pem"), std::string::npos) << missing;
  });
}

TEST_F(MysqlLogin, WithoutTlsAnAccountThatNeverLoggedInIsLetInByADetour) {
  run([this]() -> task<void> {
    request_context context(on_);
    auto admin = co_await opened(context, unix_options());
    const std::string name = co_await fresh_account(context, *admin);
    auto options = options_of(name);
    options->tls.mode = net::tls_mode::disabled;
    auto plain = co_await opened(context, options);
    EXPECT_FALSE(plain->encrypted()) << "the detour is only for the first login";
    const std::string me = co_await one(context, *plain, "SELECT CURRENT_USER()");
    EXPECT_EQ(me, name + "@%");
    // A wrong password stays one, with and without the cache.
    options->password = "wrong";
    const std::string wrong = co_await tried(context, options);
    EXPECT_NE(wrong.find("1045"), std::string::npos) << wrong;
    co_await must(context, *admin, "DROP USER " + name);
  });
}

TEST_F(MysqlLogin, TheDetourIsNotTakenToAServerNobodyVouchesFor) {
  run([this]() -> task<void> {
    request_context context(on_);
    auto admin = co_await opened(context, unix_options());
    const std::string name = co_await fresh_account(context, *admin);
    auto options = options_of(name);
    options->tls.mode = net::tls_mode::disabled;
    // The authority is a wrong one: nothing but the certificate of the server says so.
    options->tls.ca_file = "/etc/ssl/certs/ca-certificates.crt";
    const std::string refused = co_await tried(context, options);
    EXPECT_NE(refused.find("has not logged in"), std::string::npos) << refused;
    options->tls.ca_file = ca_file_;
    EXPECT_EQ(co_await tried(context, options), "");
    co_await must(context, *admin, "DROP USER " + name);
  });
}

TEST_F(MysqlLogin, TheChallengeFallsBackOnAConnectionThatIsSecret) {
  run([this]() -> task<void> {
    request_context context(on_);
    auto admin = co_await opened(context, unix_options());
    for (const bool by_socket : {false, true}) {
      const std::string name = co_await fresh_account(context, *admin);
      auto options = options_of(name);
      options->login = authentication::sha256_memory;
      if (by_socket) options->socket_path = socket_;
      EXPECT_EQ(co_await tried(context, options), "") << by_socket;
      EXPECT_EQ(co_await tried(context, options), "") << "now it is cached";
      options->password = "wrong";
      const std::string wrong = co_await tried(context, options);
      EXPECT_NE(wrong.find("1045"), std::string::npos) << wrong;
      co_await must(context, *admin, "DROP USER " + name);
    }
  });
}

TEST_F(MysqlLogin, WhatCannotWorkIsRefusedBeforeAnythingIsSent) {
  run([this]() -> task<void> {
    request_context context(on_);
    auto options = tcp_options();
    options->port = 1;  // nobody is asked
    options->login = authentication::mysql41;
    const std::string old = co_await tried(context, options);
    EXPECT_NE(old.find("MYSQL41"), std::string::npos) << old;
    options->login = authentication::plain;
    options->tls.mode = net::tls_mode::disabled;
    const std::string readable = co_await tried(context, options);
    EXPECT_NE(readable.find("whoever listens"), std::string::npos) << readable;
    options->login = authentication::automatic;
    options->host = "db.example";
    const std::string name = co_await tried(context, options);
    EXPECT_NE(name.find("numeric"), std::string::npos) << name;
    options = tcp_options();
    options->port = 1;
    const std::string nobody = co_await tried(context, options);
    EXPECT_NE(nobody.find("MySQL cannot be reached: 127.0.0.1:1"), std::string::npos) << nobody;
    options = unix_options();
    options->socket_path = "/nonexistent/socket";
    const std::string no_socket = co_await tried(context, options);
    EXPECT_NE(no_socket.find("/nonexistent/socket"), std::string::npos) << no_socket;
    options->socket_path = std::string(200, 's');
    const std::string too_long = co_await tried(context, options);
    EXPECT_NE(too_long.find("too long"), std::string::npos) << too_long;
  });
}

TEST_F(MysqlLogin, AWrongPasswordAnUnknownUserAndAMissingSchemaAreNamed) {
  run([this]() -> task<void> {
    request_context context(on_);
    for (const bool by_socket : {false, true}) {
      auto options = by_socket ? unix_options() : tcp_options();
      options->password = "wrong";
      const std::string wrong = co_await tried(context, options);
      EXPECT_NE(wrong.find("MySQL refuses this account: 1045 (HY000)"), std::string::npos) << wrong;
      options->user = "nobody_at_all";
      const std::string unknown = co_await tried(context, options);
      EXPECT_NE(unknown.find("1045"), std::string::npos) << unknown;
    }
    auto options = unix_options();
    options->schema = "no_such_schema";
    const std::string missing = co_await tried(context, options);
    EXPECT_NE(missing.find("no_such_schema"), std::string::npos) << missing;
  });
}

TEST_F(MysqlLogin, SetupRunsFirstAndItsFailureIsTheOpenings) {
  run([this]() -> task<void> {
    request_context context(on_);
    auto options = unix_options();
    options->setup = {"SET SESSION lock_wait_timeout = 7", "SET time_zone = '+00:00'"};
    auto made = co_await opened(context, options);
    EXPECT_EQ(co_await one(context, *made, "SELECT @@session.lock_wait_timeout"), "7");
    options = unix_options();
    options->setup = {"SET SESSION no_such_variable = 7"};
    const std::string failed = co_await tried(context, options);
    EXPECT_NE(failed.find("1193"), std::string::npos) << failed;
  });
}

}  // namespace
}  // namespace syncline::storage::mysql
