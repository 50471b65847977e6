// MailTransport: how one message gets to one recipient; SmtpTransport does it through libcurl (SMTP, STARTTLS, AUTH). One thread at a time;
// it blocks until the server has answered or the time is up.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "cloudtask/core/clock.h"
#include "cloudtask/core/result.h"

namespace cloudtask::center {

struct Delivery {
    enum class Outcome {
        delivered,
        refused,      // the server will never take this message for this recipient (a 5xx answer)
        put_off,      // it may take it later (a 4xx answer)
        unreachable,  // no fault of the message: no connection, no agreement on TLS, a wrong password
        aborted,      // `stop` was set
    };
    Outcome outcome = Outcome::delivered;
    std::string problem;  // a sentence; empty when delivered
};

class MailTransport {
  public:
    virtual ~MailTransport() = default;
    virtual Delivery send(const std::string& from, const std::string& to, std::string_view message, const std::atomic<bool>& stop) = 0;
};

enum class StartTls { off, when_offered, required };
// "off", "try", "require".
Result<StartTls> parse_starttls(std::string_view text);

struct SmtpOptions {
    std::string url;  // smtp://host:port, or smtps:// for TLS from the first byte
    StartTls starttls = StartTls::when_offered;
    std::string username, password;  // empty: no AUTH
    std::string ca_file;             // certificates to trust instead of the system's; empty: the system's
    Duration connect_timeout = std::chrono::seconds{10};
    Duration timeout = std::chrono::seconds{60};  // of one message
};

class SmtpTransport final : public MailTransport {
  public:
    // Errors: invalid_argument: not an SMTP URL.
    static Result<std::unique_ptr<SmtpTransport>> make(SmtpOptions options);
    ~SmtpTransport() override;

    // The connection stays open for the next message.
    Delivery send(const std::string& from, const std::string& to, std::string_view message, const std::atomic<bool>& stop) override;

  private:
    struct Impl;
    explicit SmtpTransport(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace cloudtask::center
