#include "storage/mysql/session.h"

#include <optional>
#include <utility>

#include <x_protocol.pb.h>

#include "net/core/core.h"
#include "storage/mysql/compression.h"
#include "storage/mysql/open_link.h"
#include "storage/mysql/server_error.h"
#include "storage/mysql/statement_cache.h"

namespace syncline::storage::mysql {

namespace {

using net::errc;
using net::error;

void fill(const argument& from, wire::Any& to) {
  to.set_type(wire::Any::SCALAR);
  wire::Scalar& value = *to.mutable_scalar();
  switch (from.what()) {
    case argument::kind::null:
      value.set_type(wire::Scalar::NOTHING);
      break;
    case argument::kind::signed_integer:
      value.set_type(wire::Scalar::SIGNED);
      value.set_signed_value(from.signed_integer());
      break;
    case argument::kind::unsigned_integer:
      value.set_type(wire::Scalar::UNSIGNED);
      value.set_unsigned_value(from.unsigned_integer());
      break;
    case argument::kind::real:
      value.set_type(wire::Scalar::DOUBLE_PRECISION);
      value.set_double_value(from.real());
      break;
    case argument::kind::text:
      value.set_type(wire::Scalar::TEXT);
      value.mutable_text_value()->set_value(from.text().data(), from.text().size());
      break;
    case argument::kind::blob:
      value.set_type(wire::Scalar::OCTETS);
      value.mutable_octets_value()->set_value(from.text().data(), from.text().size());
      break;
  }
}

// A message that is used again keeps its memory; after a bulk statement that would be for nothing.
template <class Message>
void forget_large(Message& message) {
  constexpr std::size_t kKeepBytes = 256UL * 1024;
  if (message.ByteSizeLong() > kKeepBytes) {
    Message().Swap(&message);
  } else {
    message.Clear();
  }
}

}  // namespace

struct session::state {
  state(net::core& on, opened_link opened, std::shared_ptr<const session_options> from)
      : options(std::move(from)),
        owed(on, std::move(opened.over), options->limits, opened.compressed),
        prepared(options->prepared_max) {
    owed.server() = opened.server;
    if (opened.compressed) packs.emplace();
  }

  template <class Message>
  [[nodiscard]] net::result<void> append(client_message type, const Message& body) {
    const std::size_t bytes_max = options->limits.message_bytes_max;
    if (!packs || body.ByteSizeLong() < kCompressBytesMin)
      return append_frame(owed.output(), type, body, bytes_max);
    net::byte_buffer plain;
    net::result<void> made = append_frame(plain, type, body, bytes_max);
    if (made.has_value()) packs->append(owed.output(), plain.view(), bytes_max);
    return made;
  }
  [[nodiscard]] net::result<void> prepare(std::string_view text);
  [[nodiscard]] net::task<net::result<void>> set_up(net::request_context& context);

  std::shared_ptr<const session_options> options;
  pipeline owed;
  std::optional<message_compressor> packs;
  statement_cache prepared;
  wire::StmtExecute statement;
  wire::PrepareExecute execute;
};

session::session(std::unique_ptr<state> made) noexcept : state_(std::move(made)) {}
session::~session() {
  close();
}

net::task<net::result<std::unique_ptr<session>>> session::open(
    net::request_context& context, std::shared_ptr<const session_options> options) {
  const session_options* const wanted = options.get();
  net::result<opened_link> ready = co_await open_link(context, *wanted);
  if (ready.has_error()) co_return ready.error();
  std::unique_ptr<session> out(
      new session(std::make_unique<state>(context.on(), std::move(*ready), std::move(options))));
  const net::result<void> done = co_await out->state_->set_up(context);
  if (done.has_error()) co_return done.error();
  co_return out;
}

net::task<net::result<void>> session::state::set_up(net::request_context& context) {
  for (const std::string& text : options->setup) {
    wire::StmtExecute first;
    first.set_statement(text);
    net::result<void> sent = append(client_message::statement_execute, first);
    if (sent.has_error()) co_return sent;
    answer reads(owed.expect(true, false), owed);
    net::result<void> done = co_await reads.finish(context);
    if (done.has_error()) co_return done;
  }
  co_return net::result<void>();
}

net::result<answer> session::start_sql(std::string_view text, std::span<const argument> with) {
  state& s = *state_;
  net::result<void> may = s.owed.room();
  if (may.has_error()) return may.error();
  s.statement.set_statement(text.data(), text.size());
  for (const argument& each : with) fill(each, *s.statement.add_arguments());
  const net::result<void> sent = s.append(client_message::statement_execute, s.statement);
  forget_large(s.statement);
  if (sent.has_error()) return sent.error();
  return answer(s.owed.expect(true, false), s.owed);
}

// In front of the first use; what it answers is looked at when the statement is used.
net::result<void> session::state::prepare(std::string_view text) {
  if (const std::optional<std::uint32_t> oldest = prepared.make_room()) {
    wire::PrepareDeallocate drop;
    drop.set_statement_id(*oldest);
    net::result<void> sent = append(client_message::prepare_deallocate, drop);
    if (sent.has_error()) return sent;
    static_cast<void>(owed.expect(false, true));
  }
  wire::Prepare message;
  const std::uint32_t id = prepared.next_id();
  message.set_statement_id(id);
  message.mutable_statement()->set_type(wire::Prepare::Statement::SQL);
  message.mutable_statement()->mutable_sql()->set_statement(text.data(), text.size());
  net::result<void> sent = append(client_message::prepare, message);
  if (sent.has_value()) prepared.add(text, id, owed.expect(false, true));
  return sent;
}

net::result<answer> session::start_prepared(std::string_view text, std::span<const argument> with) {
  state& s = *state_;
  const net::result<void> may = s.owed.room();
  if (may.has_error()) return may.error();
  statement_cache::entry* known = s.prepared.find(text);
  if (known == nullptr) {
    const net::result<void> prepared = s.prepare(text);
    if (prepared.has_error()) return prepared.error();
    known = s.prepared.find(text);
  }
  s.execute.set_statement_id(known->id);
  s.execute.set_compact_metadata(true);
  for (const argument& each : with) fill(each, *s.execute.add_arguments());
  const net::result<void> sent = s.append(client_message::prepare_execute, s.execute);
  forget_large(s.execute);
  if (sent.has_error()) return sent.error();
  std::shared_ptr<pending> before = known->prepare->ended() ? nullptr : known->prepare;
  return answer(s.owed.expect(true, false), s.owed, std::move(before));
}

net::task<net::result<result_rows>> session::sql(net::request_context& context, std::string_view text,
                                                 std::span<const argument> with) {
  net::result<answer> sent = start_sql(text, with);
  return collect(context, std::move(sent), state_->options->rows_bytes_max);
}

net::task<net::result<result_rows>> session::execute(net::request_context& context, std::string_view text,
                                                     std::span<const argument> with) {
  net::result<answer> sent = start_prepared(text, with);
  return collect(context, std::move(sent), state_->options->rows_bytes_max);
}

net::task<net::result<void>> session::reset(net::request_context& context) {
  state& s = *state_;
  if (s.owed.owed() != 0) co_return error(errc::internal, "a session is reset while answers are owed");
  const net::result<void> may = s.owed.room();
  if (may.has_error()) co_return may;
  wire::Reset message;
  message.set_keep_open(true);
  const net::result<void> sent = s.append(client_message::session_reset, message);
  if (sent.has_error()) co_return sent;
  // The server forgets them with the rest.
  s.prepared.clear();
  answer reads(s.owed.expect(true, true), s.owed);
  const net::result<void> done = co_await reads.finish(context);
  if (done.has_error()) {
    // Whatever state it is in, it is not a new one.
    s.owed.fail(done.error());
    co_return done;
  }
  const net::result<void> again = co_await s.set_up(context);
  if (again.has_error()) s.owed.fail(again.error());
  co_return again;
}

net::task<net::result<void>> session::settle(net::request_context& context) {
  return state_->owed.settle(context);
}

void session::close() {
  state& s = *state_;
  if (s.owed.failure()) return;
  append_empty_frame(s.owed.output(), client_message::connection_close);
  s.owed.over().flush();
  s.owed.fail({errc::closed, "the session was closed"});
}

bool session::usable() const noexcept {
  return !state_->owed.failure() && !state_->owed.server().going_away;
}
bool session::idle() const noexcept {
  return state_->owed.owed() == 0;
}
std::size_t session::answers_owed() const noexcept {
  return state_->owed.owed();
}
std::uint64_t session::client_id() const noexcept {
  return state_->owed.server().client_id;
}
std::size_t session::prepared() const noexcept {
  return state_->prepared.size();
}
bool session::encrypted() const noexcept {
  return state_->owed.over().encrypted();
}
bool session::compressed() const noexcept {
  return state_->packs.has_value();
}
const error* session::failure() const noexcept {
  return state_->owed.failure() ? &*state_->owed.failure() : nullptr;
}

}  // namespace syncline::storage::mysql
