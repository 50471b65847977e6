// The rows of mails: the durable queue, and who is told of a task's failures. SQL only.
//
// Any thread that holds a transaction of Store. Functions throw SOCI's errors, which Store maps.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cloudtask/core/clock.h"

namespace soci {
class session;
}

namespace cloudtask::center {

struct NewMail {
    std::string unique_key;  // one mail is queued under a key, ever
    std::vector<std::string> recipients;
    std::string subject, body;
    std::string message_id;  // without angle brackets
};

struct QueuedMail {
    std::int64_t id = 0;
    std::string unique_key;
    std::vector<std::string> recipients;
    std::vector<std::string> delivered;  // those of them who have it
    std::string subject, body, message_id, state, last_error;
    Instant created_at{}, next_attempt_at{};
    std::int64_t attempts = 0;
};

// False when that key was queued before.
bool queue_mail(soci::session& sql, const NewMail& mail, Instant now);
// Waiting mails that are due, the longest due first.
std::vector<QueuedMail> due_mails(soci::session& sql, Instant now, std::size_t limit);
std::optional<QueuedMail> find_mail(soci::session& sql, std::string_view unique_key);
// When the next waiting mail is due.
std::optional<Instant> next_mail_due(soci::session& sql);
// Writes state, delivered, attempts, next_attempt_at and last_error.
void update_mail(soci::session& sql, const QueuedMail& mail);
long long count_waiting_mails(soci::session& sql);

// Whom the task's failures are told: the task's own list, else its group's, else its runtime's; empty when none of them names anybody.
// A task that is deleted counts by its last version.
std::vector<std::string> find_recipients(soci::session& sql, std::string_view task_id, std::string_view runtime, std::string_view group);

}  // namespace cloudtask::center
