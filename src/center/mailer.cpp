// Delivery of mails: see mailer.h.
#include "center/mailer.h"

#include <algorithm>

#include "center/mail_text.h"
#include "center/run_metrics.h"
#include "cloudtask/core/log.h"

namespace cloudtask::center {

namespace {

constexpr std::size_t kMailsAtOnce = 20;
constexpr Duration kIdle = std::chrono::minutes{1};
constexpr Duration kStoreAway = std::chrono::seconds{5};

bool contains(const std::vector<std::string>& list, const std::string& value) {
    return std::find(list.begin(), list.end(), value) != list.end();
}

}  // namespace

Duration retry_delay(std::int64_t attempts, const MailerOptions& options, Random& random) {
    Duration delay = options.first_delay;
    for (std::int64_t n = 1; n < attempts && delay < options.longest_delay; ++n) delay *= 2;
    delay = std::min(delay, options.longest_delay);
    const auto half = static_cast<std::uint64_t>(delay.count() / 2);
    return Duration{delay.count() - static_cast<std::int64_t>(half)} + Duration{static_cast<std::int64_t>(random.below(half + 1))};
}

Mailer::Mailer(Store& store, const Clock& clock, Random& random, RunMetrics& metrics, std::unique_ptr<MailTransport> transport,
               MailerOptions options)
    : store_(store),
      clock_(clock),
      random_(random),
      metrics_(metrics),
      transport_(std::move(transport)),
      options_(std::move(options)),
      thread_([this] { run(); }) {}

Mailer::~Mailer() {
    stopping_ = true;
    wake();
    thread_.join();
}

void Mailer::wake() {
    {
        std::lock_guard lock(mutex_);
        woken_ = true;
    }
    wake_.notify_one();
}

void Mailer::set_leading(bool leading) {
    {
        std::lock_guard lock(mutex_);
        leading_ = leading;
    }
    wake();
}

void Mailer::run() {
    Duration wait = Duration::zero();
    while (!stopping_) {
        bool leading = false;
        {
            std::unique_lock lock(mutex_);
            wake_.wait_for(lock, wait, [this] { return woken_; });
            woken_ = false;
            leading = leading_;
        }
        if (!stopping_) wait = leading ? pass() : kIdle;
    }
}

Duration Mailer::pass() {
    // Mails that come meanwhile do not make an unreachable server worth another try.
    if (const auto now = clock_.steady_now(); now < quiet_until_) return quiet_until_ - now;
    std::vector<QueuedMail> due;
    std::optional<Instant> next;
    const auto read = store_.read([&](soci::session& sql) -> Result<> {
        due = due_mails(sql, clock_.now(), kMailsAtOnce);
        next = next_mail_due(sql);
        return {};
    });
    if (!read) {
        log::error("the queue of mails cannot be read: {}", read.error().message);
        return kStoreAway;
    }
    if (due.empty()) return next ? std::clamp(Duration{*next - clock_.now()}, Duration::zero(), kIdle) : kIdle;
    for (auto& mail : due) {
        if (stopping_) return Duration::zero();
        if (!deliver(std::move(mail))) {
            const Duration quiet = retry_delay(++unreachable_, options_, random_);
            quiet_until_ = clock_.steady_now() + quiet;
            return quiet;
        }
        unreachable_ = 0;
    }
    return Duration::zero();
}

bool Mailer::deliver(QueuedMail mail) {
    const MailMessage head{options_.from, mail.recipients, mail.subject, mail.body, mail.message_id, mail.created_at};
    const std::string message = render_message(head);
    bool refused = false, put_off = false, reachable = true;
    for (const auto& recipient : mail.recipients) {
        if (contains(mail.delivered, recipient)) continue;
        const Delivery delivery = is_mail_address(recipient) ? transport_->send(options_.from, recipient, message, stopping_)
                                                             : Delivery{Delivery::Outcome::refused, "is not a mail address"};
        if (delivery.outcome == Delivery::Outcome::aborted) return true;
        if (delivery.outcome == Delivery::Outcome::delivered) {
            mail.delivered.push_back(recipient);
            const auto written = store_.write([&](soci::session& sql) -> Result<> {
                update_mail(sql, mail);
                return {};
            });
            if (!written) {
                log::error("mail {}: that it was delivered cannot be written down: {}", mail.unique_key, written.error().message);
                return false;
            }
            continue;
        }
        mail.last_error = fmt::format("{}: {}", recipient, delivery.problem);
        if (delivery.outcome == Delivery::Outcome::refused) {
            refused = true;
            continue;
        }
        put_off = true;
        if (delivery.outcome == Delivery::Outcome::unreachable) {
            reachable = false;
            break;
        }
    }
    return settle(mail, refused, put_off) && reachable;
}

bool Mailer::settle(QueuedMail& mail, bool refused, bool put_off) {
    using Outcome = RunMetrics::MailOutcome;
    const Instant now = clock_.now();
    ++mail.attempts;
    Outcome outcome = Outcome::sent;
    if (put_off && now - mail.created_at < options_.give_up_after) {
        outcome = Outcome::retried;
        mail.next_attempt_at = now + retry_delay(mail.attempts, options_, random_);
        log::warn("mail {}: {}; next attempt at {}", mail.unique_key, mail.last_error, format_instant(mail.next_attempt_at));
    } else if (put_off || refused) {
        outcome = Outcome::failed;
        mail.state = "failed";
        log::error("mail {} is given up after {} attempts: {}", mail.unique_key, mail.attempts, mail.last_error);
    } else {
        mail.state = "sent";
        mail.last_error.clear();
        log::info("mail {} is sent to {} recipients", mail.unique_key, mail.delivered.size());
    }
    metrics_.mail(outcome);
    const auto written = store_.write([&](soci::session& sql) -> Result<> {
        update_mail(sql, mail);
        return {};
    });
    if (!written) log::error("mail {}: its state cannot be written: {}", mail.unique_key, written.error().message);
    return written.has_value();
}

}  // namespace cloudtask::center
