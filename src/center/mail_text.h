// The text of mails: what a failure mail says, and how a mail is written as an RFC 5322 message. Pure; any thread.
//
// Whatever comes from users or programs (names, output) can neither end a header line nor add one: header values are cleaned of control
// characters and, where not ASCII, written as RFC 2047 encoded words; bodies are quoted-printable (RFC 2045, section 6.7).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cloudtask/core/clock.h"
#include "cloudtask/task/types.h"

namespace cloudtask::center {

struct MailText {
    std::string subject;  // one line of UTF-8
    std::string body;     // UTF-8 with '\n'
};

// How much of the end of standard error a failure mail shows.
inline constexpr std::size_t kMailTailBytes = 4096;
inline constexpr std::size_t kMailTailLines = 40;

// What is said of a run that FAILED, TIMED_OUT or was LOST, or is RUNNING for longer than its soft limit. `stderr_tail`: the end of its
// standard error (any bytes; bounded again here); `site_url`: where the site is, without a '/' at its end, or empty.
MailText failure_mail(const task::Run& run, std::string_view stderr_tail, std::string_view log_note, std::string_view site_url);

// What is said of a canary that was decided against: `detail` is a sentence on why and what became of it.
MailText canary_mail(const task::Task& task, std::int64_t version, bool rolled_back, std::string_view detail, std::string_view site_url);

struct MailMessage {
    std::string from;
    std::vector<std::string> to;
    std::string subject;
    std::string body;
    std::string message_id;  // without angle brackets
    Instant date{};
};

// The message with CRLF line ends, headers first.
std::string render_message(const MailMessage& message);

// An address as SMTP takes it: something@something, printable ASCII without spaces, angle brackets, commas or quotes, 254 bytes at most.
bool is_mail_address(std::string_view text);

// Valid UTF-8: each invalid byte becomes U+FFFD.
std::string clean_utf8(std::string_view bytes);

}  // namespace cloudtask::center
