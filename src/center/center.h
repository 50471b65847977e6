// Center: the one object that owns the center's parts, in the order in which they need each other, and starts and stops them.
//
// Lives on the loop's thread: made before run(), start() before it or on it, stop() on it, destroyed after it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "center/config.h"
#include "cloudtask/core/asio_loop.h"

namespace cloudtask::center {

class Center {
  public:
    // Opens the data folder and the database, and makes the first administrator. Errors: configuration, a folder in use, a newer schema,
    // disk.
    static Result<std::unique_ptr<Center>> make(AsioLoop& loop, Options options);
    ~Center();

    // Listens, and begins to reach for ZooKeeper, which may come later. Error: the address cannot be listened on.
    Result<> start();

    // Stops listening, ends requests, leaves ZooKeeper; `done` on the loop.
    void stop(std::function<void()> done);

    // Where it listens; after start().
    const std::string& url() const;
    // The password of `admin`, if this start made it.
    const std::optional<std::string>& first_password() const;

  private:
    struct Impl;
    explicit Center(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace cloudtask::center
