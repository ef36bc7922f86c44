#include "storage/mysql/connector/official_connection.h"

#include <optional>
#include <utility>

#include "storage/mysql/connector/bound_text.h"
#include "storage/mysql/connector/session_thread.h"
#include "storage/mysql/open_link.h"

namespace syncline::storage::mysql {

namespace {

using net::errc;
using net::error;
using running = std::shared_ptr<statement_run>;

// Waits until a batch or the end is there. A run that is given up leaves its session in the middle of an
// answer, so that nobody may use it again.
class reading {
 public:
  reading(std::shared_ptr<session_thread> by, running what) : thread_(std::move(by)), run_(std::move(what)) {}
  reading(const reading&) = delete;
  reading& operator=(const reading&) = delete;
  ~reading() {
    if (!whole_) thread_->mark_broken();
    run_->leave();
  }

  // A batch; none: the end, outcome() has how.
  net::task<net::result<std::optional<row_batch>>> next(net::request_context& context) {
    for (;;) {
      if (std::optional<row_batch> batch = run_->take()) co_return batch;
      if (run_->ended()) {
        // What was put in front of the end is taken first.
        std::optional<row_batch> last = run_->take();
        whole_ = !last.has_value();
        co_return last;
      }
      auto waiting = run_->wait(context);
      const net::result<void> came = co_await std::move(waiting);
      if (!came) co_return came.error();
    }
  }
  void drop_rows() { run_->drop_rows(); }
  [[nodiscard]] net::result<statement_notes> outcome() { return run_->outcome(); }

 private:
  std::shared_ptr<session_thread> thread_;
  running run_;
  bool whole_ = false;
};

// `each` is called with the fields of every row; false ends it.
template <class Function>
void for_each_row(const row_batch& batch, Function each) {
  const std::size_t width = batch.columns->size();
  row_fields fields(width);
  const char* at = batch.bytes.data();
  for (std::size_t i = 0; i + width <= batch.sizes.size() && width != 0; i += width) {
    for (std::size_t j = 0; j < width; ++j) {
      fields[j] = {at, batch.sizes[i + j]};
      at += batch.sizes[i + j];
    }
    if (!each(fields)) return;
  }
}

// `of` is a parameter so that a task which is dropped before it has begun gives its statement up as well.
net::task<net::result<result_rows>> collect_run(net::request_context& context, std::unique_ptr<reading> of,
                                                std::size_t rows_bytes_max) {
  reading& from = *of;
  result_rows out;
  std::size_t kept = 0;
  for (;;) {
    auto reading_next = from.next(context);
    net::result<std::optional<row_batch>> came = co_await std::move(reading_next);
    if (!came) co_return came.error();
    if (!came->has_value()) break;
    row_batch batch = std::move(**came);
    kept += batch.bytes.size() + batch.sizes.size() * sizeof(std::string_view);
    if (kept > rows_bytes_max) {
      from.drop_rows();
      continue;
    }
    // A short string lives in its object, which moves when the vector grows: keep it out of there.
    batch.bytes.reserve(sizeof(std::string));
    out.columns = *batch.columns;
    for_each_row(batch, [&out](const row_fields& fields) {
      out.rows.push_back(fields);
      return true;
    });
    out.bytes.push_back(std::move(batch.bytes));
  }
  if (kept > rows_bytes_max)
    co_return error(errc::too_large, "a result is larger than the memory set aside for it");
  net::result<statement_notes> ended = from.outcome();
  if (!ended) co_return ended.error();
  out.notes = std::move(*ended);
  co_return out;
}

net::task<net::result<statement_notes>> read_run(net::request_context& context, std::unique_ptr<reading> of,
                                                 row_sink& into) {
  reading& from = *of;
  std::optional<error> refused;
  bool wanted = true;
  for (;;) {
    auto reading_next = from.next(context);
    net::result<std::optional<row_batch>> came = co_await std::move(reading_next);
    if (!came) co_return came.error();
    if (!came->has_value()) break;
    const row_batch& batch = **came;
    if (!wanted) continue;
    for_each_row(batch, [&](const row_fields& fields) {
      net::result<bool> more = into.row(*batch.columns, fields);
      if (!more) refused = more.error();
      wanted = more.has_value() && *more;
      return wanted;
    });
    if (!wanted) from.drop_rows();
  }
  if (refused) co_return std::move(*refused);
  co_return from.outcome();
}

net::task<net::result<result_rows>> fail(error why) {
  co_return why;
}

net::task<net::result<statement_notes>> fail_read(error why) {
  co_return why;
}

error no_such_arguments() {
  return {errc::internal, "a statement has more or fewer question marks than arguments"};
}

std::unique_ptr<reading> started(const std::shared_ptr<session_thread>& by, statement_run::what kind,
                                 std::string text, net::core& on) {
  auto what = std::make_shared<statement_run>(kind, std::move(text), on);
  by->run_next(what);
  return std::make_unique<reading>(by, std::move(what));
}

}  // namespace

net::task<net::result<std::unique_ptr<sql_connection>>> official_connection::open(
    net::request_context& context, std::shared_ptr<const session_options> options) {
  if (const net::result<void> sane = check_options(*options); !sane) co_return sane.error();
  if (!options->tls.certificate_file.empty())
    co_return error(errc::unsupported, "Connector/C++ has no client certificates");
  auto thread = session_thread::start(options);
  if (!thread) co_return thread.error();
  auto out = std::make_unique<official_connection>(std::move(*thread), std::move(options));
  auto opening = out->reset(context);
  const net::result<void> opened = co_await std::move(opening);
  if (!opened) co_return opened.error();
  co_return std::unique_ptr<sql_connection>(std::move(out));
}

official_connection::~official_connection() {
  thread_->stop();
}

net::task<net::result<result_rows>> official_connection::sql(net::request_context& context,
                                                             std::string_view text) {
  return collect_run(context,
                     started(thread_, statement_run::what::statement, std::string(text), context.on()),
                     options_->rows_bytes_max);
}

net::task<net::result<result_rows>> official_connection::execute(net::request_context& context,
                                                                 std::string_view text,
                                                                 std::span<const argument> with) {
  std::optional<std::string> bound = bound_text(text, with);
  if (!bound) return fail(no_such_arguments());
  return collect_run(context,
                     started(thread_, statement_run::what::statement, std::move(*bound), context.on()),
                     options_->rows_bytes_max);
}

net::task<net::result<statement_notes>> official_connection::read(net::request_context& context,
                                                                  std::string_view text,
                                                                  std::span<const argument> with,
                                                                  row_sink& into) {
  std::optional<std::string> bound = bound_text(text, with);
  if (!bound) return fail_read(no_such_arguments());
  return read_run(context, started(thread_, statement_run::what::statement, std::move(*bound), context.on()),
                  into);
}

net::task<net::result<void>> official_connection::reset(net::request_context& context) {
  auto running_it = collect_run(context, started(thread_, statement_run::what::reopen, {}, context.on()),
                                options_->rows_bytes_max);
  const net::result<result_rows> ended = co_await std::move(running_it);
  if (!ended) co_return ended.error();
  co_return net::result<void>();
}

void official_connection::close() {
  thread_->stop();
}

bool official_connection::broken() const noexcept {
  return thread_->broken();
}

}  // namespace syncline::storage::mysql
