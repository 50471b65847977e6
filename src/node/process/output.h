// The output of a run: files that the child writes straight into, bounded on disk, and the log view that the center stores.
//
// The child holds the file itself, so its output needs nobody to carry it and survives a restart of the node. When a file passes its limit,
// the node punches a hole into its middle: the first and the last half of the limit stay. Between two looks at the file it may grow beyond
// the limit by what the child writes in that time.
//
// The *log view* of a stream that stayed within its limit is the file; of one that did not: its head (limit / 2), one line
// "\n[cloudtask: N bytes cut]\n", its tail (the rest of the limit). Offsets of log reports are offsets in that view. While the run goes on
// the view ends at the head, as nobody knows yet whether a cut follows.
//
// Thread safety: LogShape is a value; read_log() may be called from any thread (it blocks on the disk); OutputFile lives on the loop.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cloudtask/core/descriptor.h"
#include "cloudtask/core/result.h"

namespace cloudtask::node {

enum class Stream { out, err };
std::string_view to_string(Stream stream);  // "stdout", "stderr"

// folder/stdout, folder/stderr
std::string output_path(std::string_view run_folder, Stream stream);

// What the log view of a stream looks like. Pure.
struct LogShape {
    std::uint64_t limit = 0;
    std::uint64_t written = 0;  // bytes that the child has written: Ended's stdout_bytes or stderr_bytes
    bool final = false;         // nothing more will be written

    std::uint64_t head() const { return limit / 2; }
    std::uint64_t tail() const { return limit - limit / 2; }
    bool cut() const { return written > limit; }
    std::string marker() const;       // the line that stands for what was cut; empty if nothing was
    std::uint64_t available() const;  // bytes of the view that can be read now
};

// Up to `max` bytes of the log view from `offset`; fewer or none at the end of what is available. Opens and closes the file at `path`. A
// file that is missing (output lost) reads as empty.
Result<std::string> read_log(const std::string& path, const LogShape& shape, std::uint64_t offset, std::size_t max);

// One stream of a running process. It is open only until the child has it: every start copies all that is open and closes it again, so what
// stays open for each run that goes on would make the starts of a busy node slower.
class OutputFile {
  public:
    OutputFile() = default;

    // Makes the file, or opens the one that is there; for appending, close-on-exec.
    static Result<OutputFile> open(const std::string& path, std::uint64_t limit);

    // The descriptor to give to the child; -1 if not open.
    int descriptor() const { return descriptor_.get(); }
    // The child has it, or never will.
    void close() { descriptor_ = Descriptor{}; }

    // Looks at the size, and frees the middle if the file has passed its limit. One lstat(2) when there is nothing to do. True if it grew.
    bool poll();

    LogShape shape(bool final) const { return {limit_, written_, final}; }

  private:
    void free_middle(std::uint64_t until) const;

    std::string path_;  // empty: there is no file
    Descriptor descriptor_;
    std::uint64_t limit_ = 0;
    std::uint64_t written_ = 0;
    std::uint64_t freed_to_ = 0;  // the middle is free from the head to here
};

}  // namespace cloudtask::node
