// Worker: where blocking work (disk, SQLite, password hashing, name look-ups) runs, off the loop.
//
// ThreadWorker has its own threads; with one thread its jobs run in the order submitted. LoopWorker runs jobs on a Loop, for tests
// with virtual time. A job hands its result back by Loop::post. submit() may be called from any thread.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cloudtask/core/loop.h"

namespace cloudtask {

class Worker {
  public:
    using Job = std::function<void()>;
    virtual ~Worker() = default;
    virtual void submit(Job job) = 0;
};

class ThreadWorker final : public Worker {
  public:
    // `name` shows in ps and gdb (15 characters at most).
    explicit ThreadWorker(std::string name, std::size_t threads = 1);
    // Runs what was submitted to its end, then joins.
    ~ThreadWorker() override;

    void submit(Job job) override;

  private:
    void run();

    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<Job> jobs_;   // guarded by mutex_
    bool stopping_ = false;  // guarded by mutex_
    std::vector<std::thread> threads_;
};

class LoopWorker final : public Worker {
  public:
    explicit LoopWorker(Loop& loop) : loop_(loop) {}
    void submit(Job job) override { loop_.post(std::move(job)); }

  private:
    Loop& loop_;
};

}  // namespace cloudtask
