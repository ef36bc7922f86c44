#include "server/command/demo_data.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include <fmt/format.h>
#include <boost/json/parse.hpp>

#include "server/command/demo_rows.h"
#include "storage/sqlite/connection.h"

namespace syncline::server::command {
namespace {

constexpr std::size_t kWriteBytes = 256 * 1024;
constexpr std::uint64_t kFillBatchRows = 5000;

// Lines to a file through a buffer of our own; remembers the first failure.
class line_file {
 public:
  explicit line_file(std::FILE* file) : file_(file) { buffer_.reserve(kWriteBytes + 64 * 1024); }
  bool append(std::string_view line) {
    buffer_.append(line).push_back('\n');
    return buffer_.size() < kWriteBytes || flush();
  }
  bool flush() {
    const bool written =
        std::fwrite(buffer_.data(), 1, buffer_.size(), file_) == buffer_.size() && std::fflush(file_) == 0;
    if (!written) error_ = errno;
    buffer_.clear();
    return written;
  }
  [[nodiscard]] int error() const noexcept { return error_; }

 private:
  std::FILE* file_;
  std::string buffer_;
  int error_ = 0;
};

struct close_file {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};

bool wanted(const demo_data_options& options, std::string_view resource) {
  return options.resource.empty() || options.resource == resource;
}

int fail(std::string_view what) {
  fmt::print(stderr, "syncline demo-data: {}\n", what);
  return 1;
}

int write_lines(const demo_rows& rows, std::string_view resource, std::FILE* file, std::string_view name,
                std::uint64_t& count) {
  line_file out(file);
  count = 0;
  const bool written = rows.write(resource, [&](std::string_view line) {
    ++count;
    return out.append(line);
  });
  if (written && out.flush()) return 0;
  return fail(fmt::format("cannot write {}: {}", name, std::strerror(out.error())));
}

int write_files(const demo_rows& rows, const demo_data_options& options) {
  std::error_code failed;
  std::filesystem::create_directories(options.directory, failed);
  if (failed) return fail(fmt::format("cannot make the folder {}: {}", options.directory, failed.message()));
  for (const std::string_view resource : demo_rows::resources()) {
    if (!wanted(options, resource)) continue;
    const std::string name = fmt::format("{}/{}.ndjson", options.directory, resource);
    const std::unique_ptr<std::FILE, close_file> file(std::fopen(name.c_str(), "wb"));
    if (!file) return fail(fmt::format("cannot write {}: {}", name, std::strerror(errno)));
    std::uint64_t count = 0;
    if (const int code = write_lines(rows, resource, file.get(), name, count); code != 0) return code;
    fmt::print(stderr, "{}: {} rows\n", name, count);
  }
  return 0;
}

int write_standard_output(const demo_rows& rows, const demo_data_options& options) {
  for (const std::string_view resource : demo_rows::resources()) {
    if (!wanted(options, resource)) continue;
    std::uint64_t count = 0;
    if (const int code = write_lines(rows, resource, stdout, "standard output", count); code != 0)
      return code;
  }
  return 0;
}

// INSERT of one JSON text as a row. The members of the first row name the columns; every row of a resource
// has the same.
std::string insert_sql(std::string_view resource, std::string_view line) {
  const boost::json::value row = boost::json::parse(line);
  std::string columns, values;
  for (const auto& member : row.as_object()) {
    const std::string name(member.key());
    columns += (columns.empty() ? "" : ", ") + storage::sqlite::quoted(name);
    values += (values.empty() ? "" : ", ") +
              fmt::format("json_extract(?1, {})", storage::sqlite::literal("$." + name));
  }
  return fmt::format("INSERT OR IGNORE INTO {} ({}) VALUES ({})", storage::sqlite::quoted(resource), columns,
                     values);
}

// Rows in transactions of kFillBatchRows, so that another process gets its turn.
class filler {
 public:
  filler(storage::sqlite::connection& db, std::string_view resource) : db_(&db), resource_(resource) {}

  [[nodiscard]] net::result<void> insert(std::string_view line) {
    if (!statement_) {
      auto prepared = db_->prepare(insert_sql(resource_, line));
      if (!prepared) return prepared.error();
      statement_ = std::move(*prepared);
    }
    if (in_batch_ == 0) {
      if (auto begun = db_->exec("BEGIN IMMEDIATE"); !begun) return begun;
    }
    const storage::sqlite::statement_use use(statement_);
    use->bind(1, line);
    if (const int code = use->step(); code != SQLITE_DONE)
      return db_->error(code, "filling the demo database");
    inserted_ += static_cast<std::uint64_t>(sqlite3_changes64(db_->get()));
    if (++in_batch_ == kFillBatchRows) return end();
    return {};
  }
  [[nodiscard]] net::result<void> end() {
    if (std::exchange(in_batch_, 0) == 0) return {};
    return db_->exec("COMMIT");
  }
  [[nodiscard]] std::uint64_t inserted() const noexcept { return inserted_; }

 private:
  storage::sqlite::connection* db_;
  std::string_view resource_;
  storage::sqlite::statement statement_;
  std::uint64_t in_batch_ = 0;
  std::uint64_t inserted_ = 0;
};

int make_and_fill(const demo_data_options& options) {
  if (const auto made = make_demo_database(options.database); !made) {
    return fail(fmt::format("{}: {}", options.database, made.error().text()));
  }
  if (!options.fill) {
    fmt::print(stderr, "{}: tables are there\n", options.database);
    return 0;
  }
  const auto filled = fill_demo_database(options.database, options);
  if (!filled) return fail(fmt::format("{}: {}", options.database, filled.error().text()));
  fmt::print(stderr, "{}: {} rows put in\n", options.database, *filled);
  return 0;
}

}  // namespace

net::result<void> make_demo_database(const std::string& path) {
  storage::sqlite::connection_options options;
  options.path = path;
  options.create = true;
  auto db = storage::sqlite::connection::open(options);
  if (!db) return db.error();
  return db->exec(demo_schema());
}

net::result<std::uint64_t> fill_demo_database(const std::string& path, const demo_data_options& options) {
  storage::sqlite::connection_options with;
  with.path = path;
  with.synchronous = "NORMAL";
  auto db = storage::sqlite::connection::open(with);
  if (!db) return db.error();
  const demo_rows rows(options.users, options.seed);
  std::uint64_t inserted = 0;
  for (const std::string_view resource : demo_rows::resources()) {
    if (!wanted(options, resource)) continue;
    filler into(*db, resource);
    net::result<void> last;
    rows.write(resource, [&](std::string_view line) {
      last = into.insert(line);
      return last.has_value();
    });
    if (last) last = into.end();
    if (!last) return last.error();
    inserted += into.inserted();
  }
  return inserted;
}

int demo_data(const demo_data_options& options) {
  const auto known = demo_rows::resources();
  if (!options.resource.empty() && std::find(known.begin(), known.end(), options.resource) == known.end()) {
    return fail(
        fmt::format("unknown resource \"{}\"; allowed: {}", options.resource, fmt::join(known, ", ")));
  }
  if (options.directory.empty() && options.database.empty() && !options.standard_output) {
    return fail("nothing to do; allowed: --out DIR, --db FILE, --stdout");
  }
  if (options.fill && options.database.empty()) return fail("--fill needs --db FILE");
  const demo_rows rows(options.users, options.seed);
  if (!options.database.empty()) {
    if (const int code = make_and_fill(options); code != 0) return code;
  }
  if (!options.directory.empty()) {
    if (const int code = write_files(rows, options); code != 0) return code;
  }
  return options.standard_output ? write_standard_output(rows, options) : 0;
}

}  // namespace syncline::server::command
