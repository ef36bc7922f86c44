#include "server/allow.h"

namespace syncline::server {

using net::http::method;

bool allows(place where, const storage::resource* of, method verb) noexcept {
  const bool row = where == place::row || where == place::bulk;
  switch (verb) {
    case method::get:
    case method::options:
      return true;
    case method::head:
      return where != place::sync && where != place::subscribe;
    case method::post:
      return (where == place::collection && of->write.create) || (where == place::bulk && of->write.bulk);
    case method::put:
      return row && (of->write.create || of->write.update);
    case method::patch:
      return row && of->write.update;
    case method::del:
      return row && of->write.remove;
    case method::other:
      return false;
  }
  return false;
}

std::string allow_list(place where, const storage::resource* of) {
  std::string out;
  for (const method verb :
       {method::get, method::head, method::post, method::put, method::patch, method::del, method::options}) {
    if (!allows(where, of, verb)) continue;
    if (!out.empty()) out.append(", ");
    out.append(net::http::to_string(verb));
  }
  return out;
}

}  // namespace syncline::server
