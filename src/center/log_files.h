// LogFiles: the logs of runs on the center's disk, one file per run and stream, kept apart from the database so that a full disk
// or a slow one costs logs and not the states of runs.
//
// Threads: any; there is no state but the files. Writers of one file may only write the same bytes at the same offset (which is what
// a node that repeats its reports does). It does not know whether a run exists: callers check.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cloudtask/core/result.h"

namespace cloudtask::center {

enum class LogStream { standard_output, standard_error };

std::string_view to_string(LogStream stream);  // "stdout", "stderr"
Result<LogStream> parse_log_stream(std::string_view text);

// The most that one stream of one run may hold.
inline constexpr std::uint64_t kMaxLogBytes = 2ULL << 30;

class LogFiles {
  public:
    // Makes <root> if absent. Errors: io.
    static Result<LogFiles> open(std::filesystem::path root);

    // <root>/<last two characters of the run id>/<run id>.<stream>. The end of a UUIDv7 is random, so the folders fill evenly.
    std::filesystem::path path(std::string_view run_id, LogStream stream) const;

    // Bytes that are there; 0 when there is no file.
    Result<std::uint64_t> size(std::string_view run_id, LogStream stream) const;

    // Up to `max` bytes from offset `from`; empty at or beyond the end.
    Result<std::string> read(std::string_view run_id, LogStream stream, std::uint64_t from, std::size_t max) const;

    // The last `max` bytes.
    Result<std::string> tail(std::string_view run_id, LogStream stream, std::size_t max) const;

  private:
    explicit LogFiles(std::filesystem::path root) : root_(std::move(root)) {}
    std::filesystem::path root_;
};

// The log chunks of one batch of reports: written one by one, made durable together. One thread.
class LogBatch {
  public:
    explicit LogBatch(const LogFiles& files) : files_(files) {}
    ~LogBatch();
    LogBatch(const LogBatch&) = delete;
    LogBatch& operator=(const LogBatch&) = delete;

    // Writes `data` at `offset`. Errors: invalid_argument (not a run id), conflict (a gap: the offset is beyond the end), too_large
    // (beyond kMaxLogBytes), io (the disk; the only one that says nothing of the chunk).
    Result<> write(std::string_view run_id, LogStream stream, std::uint64_t offset, std::string_view data);

    struct Written {
        std::string run_id;
        LogStream stream;
        std::uint64_t first_offset;
    };

    // Makes all that was written durable: data, and the names of new files. Returns the streams for which that failed.
    std::vector<Written> sync();

  private:
    struct File {
        int descriptor = -1;
        std::uint64_t size = 0;
        std::uint64_t first_offset = 0;
        bool touched = false;
        bool created = false;
        std::filesystem::path folder;
    };
    Result<File*> file(std::string_view run_id, LogStream stream);

    const LogFiles& files_;
    std::map<std::pair<std::string, LogStream>, File> open_;
};

}  // namespace cloudtask::center
