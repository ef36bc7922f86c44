// Requests that servers read differently, each with the error our parser must give. One table for the parser,
// the server and the fuzzer's first inputs. `name` is what docs/http.md refers to.
#pragma once

#include <string>
#include <vector>

#include "net/http/parser.h"

namespace syncline::net::http::testing {

struct bad_request {
  std::string name;
  std::string bytes;
  parse_error expected;
};

inline std::string with_header(const std::string& lines) {
  return "POST / HTTP/1.1\r\nHost: a\r\n" + lines + "\r\n";
}
inline std::string with_line(const std::string& line) {
  return line + "\r\nHost: a\r\n\r\n";
}

inline std::vector<bad_request> framing_errors() {
  using enum parse_error;
  return {
      {"LengthAndEncoding", with_header("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n"),
       length_and_encoding},
      {"EncodingAndLength", with_header("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n"),
       length_and_encoding},
      {"TwoLengthsDiffer", with_header("Content-Length: 4\r\nContent-Length: 5\r\n"),
       duplicate_content_length},
      {"TwoLengthsSame", with_header("Content-Length: 4\r\nContent-Length: 4\r\n"), duplicate_content_length},
      {"LengthList", with_header("Content-Length: 4, 4\r\n"), bad_content_length},
      {"LengthPlus", with_header("Content-Length: +4\r\n"), bad_content_length},
      {"LengthMinus", with_header("Content-Length: -4\r\n"), bad_content_length},
      {"LengthHex", with_header("Content-Length: 0x4\r\n"), bad_content_length},
      {"LengthInnerSpace", with_header("Content-Length: 4 4\r\n"), bad_content_length},
      {"LengthEmpty", with_header("Content-Length:\r\n"), bad_content_length},
      {"LengthOverflow", with_header("Content-Length: 18446744073709551620\r\n"), bad_content_length},
      {"LengthDecimalPoint", with_header("Content-Length: 4.0\r\n"), bad_content_length},
      {"EncodingUnknown", with_header("Transfer-Encoding: xchunked\r\n"), bad_transfer_encoding},
      {"EncodingIdentity", with_header("Transfer-Encoding: identity\r\n"), bad_transfer_encoding},
      {"EncodingEmpty", with_header("Transfer-Encoding:\r\n"), bad_transfer_encoding},
      {"EncodingNotFinal", with_header("Transfer-Encoding: chunked, gzip\r\n"), bad_transfer_encoding},
      {"EncodingTwice", with_header("Transfer-Encoding: chunked, chunked\r\n"), bad_transfer_encoding},
      {"EncodingTwoLines", with_header("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
       bad_transfer_encoding},
      {"EncodingTwoLinesIdentity",
       with_header("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n"), bad_transfer_encoding},
      {"EncodingCommaFirst", with_header("Transfer-Encoding: , chunked\r\n"), bad_transfer_encoding},
      {"EncodingQuoted", with_header("Transfer-Encoding: \"chunked\"\r\n"), bad_transfer_encoding},
      {"EncodingParameter", with_header("Transfer-Encoding: chunked;q=1\r\n"), bad_transfer_encoding},
      {"EncodingVerticalTab",
       with_header("Transfer-Encoding: \x0b"
                   "chunked\r\n"),
       bad_header_value},
      {"EncodingGzipThenChunked", with_header("Transfer-Encoding: gzip, chunked\r\n"),
       unknown_transfer_encoding},
      {"EncodingNoCoding", with_header("Transfer-Encoding: gz ip, chunked\r\n"), bad_transfer_encoding},
      {"EncodingInHttp10", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
       encoding_in_http_1_0},
      {"NameSpaceBeforeColon", with_header("Content-Length : 4\r\n"), bad_header_name},
      {"NameTabBeforeColon", with_header("Transfer-Encoding\t: chunked\r\n"), bad_header_name},
      {"NameEmpty", with_header(": x\r\n"), bad_header_name},
      {"NameWithoutColon", with_header("Content-Length\r\n"), bad_header_name},
      {"NameHighByte", with_header("X-\xc3\xa9: x\r\n"), bad_header_name},
      {"NameNul", with_header(std::string("X\0Y: x\r\n", 8)), bad_header_name},
      {"NameSlash", with_header("X/Y: x\r\n"), bad_header_name},
      {"ValueNul", with_header(std::string("X: a\0b\r\n", 8)), bad_header_value},
      {"ValueEscape", with_header("X: a\x1b[0m\r\n"), bad_header_value},
      {"ValueDelete", with_header("X: a\x7f\r\n"), bad_header_value},
      {"FoldedHeader", with_header("X: a\r\n b\r\n"), folded_header},
      {"FoldedTab", with_header("X: a\r\n\tb\r\n"), folded_header},
      {"FoldedFirstLine", "POST / HTTP/1.1\r\n Host: a\r\n\r\n", folded_header},
      {"BareCrInValue", with_header("X: a\rTransfer-Encoding: chunked\r\n"), bare_cr},
      {"BareCrBeforeEnd", "GET / HTTP/1.1\r\nHost: a\r\n\rX: y\r\n\r\n", bare_cr},
      {"BareLfAfterHeader", "POST / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", bare_lf},
      {"BareLfAfterRequestLine", "GET / HTTP/1.1\nHost: a\r\n\r\n", bare_lf},
      {"BareLfAtEnd", "GET / HTTP/1.1\r\nHost: a\r\n\n", bare_lf},
      {"BareLfFirst", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", bare_lf},
  };
}

inline std::vector<bad_request> line_errors() {
  using enum parse_error;
  return {
      {"TwoEmptyLinesFirst", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", bad_request_line},
      {"SpaceFirst", with_line(" GET / HTTP/1.1"), bad_method},
      {"MethodEmpty", with_line(" / HTTP/1.1"), bad_method},
      {"MethodInvalid", with_line("G(T / HTTP/1.1"), bad_method},
      {"MethodTooLong", with_line("GGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGG / HTTP/1.1"), bad_method},
      {"TlsHello", std::string("\x16\x03\x01\x02\x00\x01", 6), bad_method},
      {"TwoSpaces", with_line("GET  / HTTP/1.1"), bad_request_line},
      {"SpaceInTarget", with_line("GET /a b HTTP/1.1"), bad_version},
      {"TabAfterMethod", with_line("GET\t/ HTTP/1.1"), bad_method},
      {"NoTarget", with_line("GET HTTP/1.1"), bad_request_line},
      {"NoVersion", with_line("GET /"), bad_request_line},
      {"TrailingSpace", with_line("GET / HTTP/1.1 "), bad_version},
      {"VersionLowerCase", with_line("GET / http/1.1"), bad_version},
      {"VersionTwoDigits", with_line("GET / HTTP/1.10"), bad_version},
      {"Version12", with_line("GET / HTTP/1.2"), unknown_version},
      {"Version20", with_line("GET / HTTP/2.0"), unknown_version},
      {"Http2Preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", unknown_version},
      {"TargetHighByte", with_line("GET /\xc3\xa9 HTTP/1.1"), bad_target},
      {"TargetNul", with_line(std::string("GET /a\0b HTTP/1.1", 17)), bad_target},
      {"TargetFragment", with_line("GET /a#b HTTP/1.1"), bad_target},
      {"TargetRelative", with_line("GET a HTTP/1.1"), bad_target},
      {"AsteriskOnlyForOptions", with_line("GET * HTTP/1.1"), bad_target},
      {"TargetOtherScheme", with_line("GET ftp://a/ HTTP/1.1"), bad_target},
      {"AbsoluteUserInfo", with_line("GET http://u@a/ HTTP/1.1"), bad_target},
      {"AbsoluteEmptyHost", with_line("GET http:///x HTTP/1.1"), bad_target},
      {"Connect", with_line("CONNECT a:80 HTTP/1.1"), connect},
      {"ConnectPath", with_line("CONNECT /a HTTP/1.1"), bad_target},
      {"ConnectNoPort", with_line("CONNECT a HTTP/1.1"), bad_target},
      {"ConnectEmptyPort", with_line("CONNECT a: HTTP/1.1"), bad_target},
      {"HostMissing", "GET / HTTP/1.1\r\nX: y\r\n\r\n", missing_host},
      {"HostTwice", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", duplicate_host},
      {"HostEmpty", "GET / HTTP/1.1\r\nHost:\r\n\r\n", bad_host},
      {"HostUserInfo", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", bad_host},
      {"HostPath", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", bad_host},
      {"HostList", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", bad_host},
      {"HostPortText", "GET / HTTP/1.1\r\nHost: a:x\r\n\r\n", bad_host},
      {"HostPortTooLarge", "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", bad_host},
      {"HostBrackets", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", bad_host},
      {"HostNoAddress", "GET / HTTP/1.1\r\nHost: [1::2::3]\r\n\r\n", bad_host},
      {"HostLaterAddress", "GET / HTTP/1.1\r\nHost: [v1.a]\r\n\r\n", bad_host},
      {"ExpectOther", with_header("Expect: 200-ok\r\n"), unknown_expectation},
  };
}

inline std::vector<bad_request> all_bad_requests() {
  std::vector<bad_request> all = framing_errors();
  const std::vector<bad_request> more = line_errors();
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace syncline::net::http::testing
