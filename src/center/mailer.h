// Mailer: sends the mails that wait in the database, each to each of its recipients, until it is delivered, refused for good, or a day old.
//
// It has a thread of its own. Mails survive restarts; what was delivered to a recipient is written down before the next one is tried, so a
// crash repeats one delivery at most (with the same Message-ID). It sends only while this center leads. It does not decide who is told.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "center/mail_store.h"
#include "center/smtp.h"
#include "center/store.h"
#include "cloudtask/core/clock.h"
#include "cloudtask/core/random.h"

namespace cloudtask::center {

class RunMetrics;

struct MailerOptions {
    std::string from;
    Duration first_delay = std::chrono::seconds{15};
    Duration longest_delay = std::chrono::hours{1};
    Duration give_up_after = std::chrono::hours{24};
};

// How long to wait after the given number of failed attempts (1, 2, ...): twice as long each time up to the longest, of which a random
// half, so that many do not come back together.
Duration retry_delay(std::int64_t attempts, const MailerOptions& options, Random& random);

class Mailer {
  public:
    Mailer(Store& store, const Clock& clock, Random& random, RunMetrics& metrics, std::unique_ptr<MailTransport> transport,
           MailerOptions options);
    ~Mailer();  // ends the delivery in progress

    // Any thread.
    void wake();
    void set_leading(bool leading);

  private:
    void run();
    // Sends what is due. Returns how long to wait, unless woken.
    Duration pass();
    // False when the server cannot be reached, or the database: the other mails need not be tried now.
    bool deliver(QueuedMail mail);
    bool settle(QueuedMail& mail, bool refused, bool put_off);

    Store& store_;
    const Clock& clock_;
    Random& random_;
    RunMetrics& metrics_;
    std::unique_ptr<MailTransport> transport_;
    MailerOptions options_;
    std::int64_t unreachable_ = 0;  // passes in a row; of the thread
    SteadyInstant quiet_until_{};   // of the thread

    std::mutex mutex_;
    std::condition_variable wake_;
    bool woken_ = false;    // guarded by mutex_
    bool leading_ = false;  // guarded by mutex_
    std::atomic<bool> stopping_{false};
    std::thread thread_;
};

}  // namespace cloudtask::center
