// OpenSSL's view of a connection's socket: a BIO that sends without SIGPIPE and asks the kernel only when the
// poller said that it is worth it.
//
// Use it from tls*.cpp only. Thread: the session's. Failure: as BIO has it (-1, retry flags); 0 at the end of
// input.
#pragma once

#include <openssl/bio.h>

namespace syncline::net {

struct tls_socket {
  static const BIO_METHOD* method() noexcept;  // its BIOs carry a tls_session as data; null without memory

 private:
  static int read(BIO* bio, char* to, int room) noexcept;
  static int write(BIO* bio, const char* from, int size) noexcept;
  static long control(BIO* bio, int command, long number, void* pointer) noexcept;
};

}  // namespace syncline::net
