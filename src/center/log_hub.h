// LogHub: those who follow the log of a run while it grows, as server-sent events.
//
// Lives on the loop; files and database are read on the worker, a piece at a time. Each piece is an event `log` {"offset", "text"} whose id
// is the offset behind it (a client that comes back says it as Last-Event-ID); when the run is over and all of it is sent, an event `end`
// {"state"} closes the stream. Pieces of a long log are spaced out, so that a client of ordinary speed is not cut off; one that is slower
// than that is, by the server's bound on what may wait, and goes on at its last id.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "center/log_files.h"
#include "center/store.h"
#include "cloudtask/core/loop.h"
#include "cloudtask/core/worker.h"
#include "cloudtask/http/server.h"

namespace cloudtask::center {

struct LogHubOptions {
    std::size_t piece = 64 * 1024;                   // bytes of a log in one event
    Duration pause = std::chrono::milliseconds{10};  // between pieces that are there already
    Duration look_again = std::chrono::seconds{10};  // without being told
};

class LogHub {
  public:
    // The worker's jobs may outlive the hub; store and files must outlive them.
    LogHub(Loop& loop, Worker& worker, Store& store, const LogFiles& files, LogHubOptions options = {});
    ~LogHub();

    // Sends the stream of the run, which must exist, from this offset on.
    void follow(std::shared_ptr<http::EventStream> events, std::string run_id, LogStream stream, std::uint64_t from);

    // The logs of these runs grew, or the runs are over. Any thread.
    void notify(const std::set<std::string>& run_ids);

    // Ends all streams (the center stops).
    void close();

    std::size_t followers() const;

    struct Impl;

  private:
    std::shared_ptr<Impl> impl_;
};

}  // namespace cloudtask::center
