// Self-signed certificates made when a test needs one, as PEM files in the folder of temporary files.
//
// Thread: any. Failure: std::runtime_error, which ends the test.
#pragma once

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "net/core/tls.h"

namespace syncline::net::testing {

// For `common_name` on a P-256 key, valid from now for `valid_s`. Later ones replace what is in the files of
// `options`.
inline void make_certificate(const tls_options& files, const std::string& common_name, long valid_s = 3600) {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
  const std::unique_ptr<X509, decltype(&X509_free)> made(X509_new(), &X509_free);
  static std::atomic<long> serial{1};
  X509_set_version(made.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(made.get()), serial++);
  X509_gmtime_adj(X509_getm_notBefore(made.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(made.get()), valid_s);
  X509_set_pubkey(made.get(), key.get());
  X509_NAME* const name = X509_get_subject_name(made.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1, 0);
  X509_set_issuer_name(made.get(), name);
  if (key == nullptr || X509_sign(made.get(), key.get(), EVP_sha256()) == 0)
    throw std::runtime_error("no certificate could be made");
  using file = std::unique_ptr<std::FILE, decltype(&std::fclose)>;
  const file certificate_file(std::fopen(files.certificate_file.c_str(), "w"), &std::fclose);
  const file key_file(std::fopen(files.key_file.c_str(), "w"), &std::fclose);
  if (certificate_file == nullptr || key_file == nullptr ||
      PEM_write_X509(certificate_file.get(), made.get()) != 1 ||
      PEM_write_PrivateKey(key_file.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    throw std::runtime_error("a certificate could not be written to " + files.certificate_file);
  }
}

// Names of two files that nobody else uses; what was written there goes when the process ends.
inline tls_options certificate_paths() {
  struct names {
    names() = default;
    ~names() {
      for (const tls_options& each : all) {
        std::remove(each.certificate_file.c_str());
        std::remove(each.key_file.c_str());
      }
    }
    names(const names&) = delete;
    names& operator=(const names&) = delete;
    std::mutex mutex;
    std::vector<tls_options> all;
  };
  static names given;
  const std::lock_guard use(given.mutex);
  const std::string stem = ::testing::TempDir() + "syncline-tls-" + std::to_string(::getpid()) + "-" +
                           std::to_string(given.all.size());
  return given.all.emplace_back(tls_options{stem + ".crt", stem + ".key"});
}

// One certificate for all tests of a process.
inline const tls_options& test_certificate() {
  static const tls_options made = [] {
    const tls_options paths = certificate_paths();
    make_certificate(paths, "localhost");
    return paths;
  }();
  return made;
}

}  // namespace syncline::net::testing
