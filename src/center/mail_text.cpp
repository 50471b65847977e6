// Texts of mails: see mail_text.h.
#include "center/mail_text.h"

#include <algorithm>
#include <array>
#include <ctime>

#include "center/utf8_stream.h"
#include "cloudtask/core/hash.h"
#include "cloudtask/core/units.h"
#include "cloudtask/task/pieces.h"

namespace cloudtask::center {

namespace {

using task::RunState;

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }
bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

// One line of valid UTF-8: control characters become spaces.
std::string one_line(std::string_view text) {
    std::string line = clean_utf8(text);
    std::replace_if(line.begin(), line.end(), is_control, ' ');
    return line;
}

std::string_view what_happened(RunState state) {
    switch (state) {
        case RunState::timed_out:
            return "timed out";
        case RunState::lost:
            return "was lost";
        case RunState::running:
            return "takes long";
        default:
            return "failed";
    }
}

// The last lines of an output, without a first line that was cut by the bound.
std::string last_lines(std::string_view bytes) {
    if (bytes.size() > kMailTailBytes) bytes.remove_prefix(bytes.size() - kMailTailBytes);
    std::string text = clean_utf8(bytes);
    std::erase_if(text, [](char c) { return is_control(c) && c != '\n' && c != '\t'; });
    while (!text.empty() && text.back() == '\n') text.pop_back();
    std::size_t lines = 0;
    for (std::size_t at = text.size(); at > 0; --at) {
        if (text[at - 1] == '\n' && ++lines == kMailTailLines) return text.substr(at);
    }
    return text;
}

void line(std::string& body, std::string_view name, std::string_view value) {
    if (!value.empty()) body += fmt::format("{:<11}{}\n", fmt::format("{}:", name), one_line(value));
}

// RFC 2047 encoded words of 75 characters at most, each of whole characters, folded.
std::string encoded_header(std::string_view value) {
    const bool plain = std::all_of(value.begin(), value.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
    // A plain value that looks like an encoded word would be decoded by the reader.
    if (plain && value.size() <= 900 && value.find("=?") == std::string_view::npos) return std::string(value);
    constexpr std::size_t kBytesPerWord = 39;  // 52 characters of base64 and 12 of frame; "Subject: " stands before the first
    std::string out;
    while (!value.empty()) {
        std::size_t length = std::min(kBytesPerWord, value.size());
        while (length < value.size() && length > 1 && is_continuation(value[length])) --length;
        if (!out.empty()) out += "\r\n ";
        out += "=?UTF-8?B?" + to_base64(value.substr(0, length)) + "?=";
        value.remove_prefix(length);
    }
    return out;
}

// RFC 2045, section 6.7; every line but the last ends with CRLF, none is longer than 76 characters.
std::string quoted_printable(std::string_view text) {
    constexpr std::size_t kMaxLine = 75;  // and "=" of a soft break
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    std::string out;
    std::size_t column = 0;
    for (std::size_t at = 0; at < text.size(); ++at) {
        const char c = text[at];
        if (c == '\n') {
            out += "\r\n";
            column = 0;
            continue;
        }
        const bool before_break = at + 1 == text.size() || text[at + 1] == '\n';
        const bool space = c == ' ' || c == '\t';
        const bool literal = (c > 0x20 && c < 0x7f && c != '=') || (space && !before_break);
        const std::size_t width = literal ? 1 : 3;
        if (column + width > kMaxLine) {
            out += "=\r\n";
            column = 0;
        }
        if (literal) {
            out += c;
        } else {
            const auto byte = static_cast<unsigned char>(c);
            out += '=';
            out += kDigits[byte >> 4];
            out += kDigits[byte & 15];
        }
        column += width;
    }
    return out;
}

// RFC 5322, section 3.3.
std::string header_date(Instant date) {
    static constexpr std::array<const char*, 7> kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr std::array<const char*, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const auto seconds = static_cast<std::time_t>(std::chrono::floor<std::chrono::seconds>(date).time_since_epoch().count());
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    return fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} +0000", kDays[static_cast<std::size_t>(parts.tm_wday)], parts.tm_mday,
                       kMonths[static_cast<std::size_t>(parts.tm_mon)], parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

}  // namespace

std::string clean_utf8(std::string_view bytes) {
    Utf8Stream stream;
    std::string text = stream.take(bytes);
    return text += stream.finish();
}

MailText failure_mail(const task::Run& run, std::string_view stderr_tail, std::string_view log_note, std::string_view site_url) {
    const std::string path = fmt::format("{}/{}/{}{}", run.runtime, run.group, run.task_name, task::piece_text(run));
    MailText mail;
    mail.subject = one_line(fmt::format("CloudTask: {} {}", path, what_happened(run.state)));
    if (run.state == RunState::failed && run.exit_code) mail.subject += fmt::format(" (exit code {})", *run.exit_code);
    if (run.state == RunState::failed && run.signal) mail.subject += fmt::format(" (signal {})", *run.signal);

    std::string& body = mail.body;
    body = one_line(fmt::format("Task {} {}.", path, what_happened(run.state))) + "\n\n";
    line(body, "State", task::to_string(run.state));
    line(body, "Reason", run.reason);
    line(body, "Run", run.id);
    if (run.attempt > 1) line(body, "Attempt", std::to_string(run.attempt));
    if (run.fire_time) line(body, "Due", format_instant(*run.fire_time));
    line(body, "Started by", run.started_by);
    line(body, "Node", run.node_name.empty() ? run.node_id : run.node_name);
    if (run.started_at) line(body, "Started", format_instant(*run.started_at));
    if (run.ended_at) line(body, "Ended", format_instant(*run.ended_at));
    if (run.started_at && run.ended_at && *run.ended_at >= *run.started_at) {
        line(body, "Took", format_duration(std::chrono::floor<std::chrono::milliseconds>(*run.ended_at - *run.started_at)));
    }
    if (run.exit_code) line(body, "Exit code", std::to_string(*run.exit_code));
    if (run.signal) line(body, "Signal", std::to_string(*run.signal));
    if (run.http_status) line(body, "HTTP", std::to_string(*run.http_status));
    line(body, "Log", log_note);
    // As webroot/app.js reads it.
    if (!site_url.empty()) line(body, "See", fmt::format("{}{}#run={}", site_url, site_url.ends_with('/') ? "" : "/", run.id));

    if (run.http_status) return mail;  // an answer is in the log; it has no standard error
    const std::string tail = last_lines(stderr_tail);
    body += tail.empty() ? "\nIt wrote nothing to standard error.\n" : "\nThe end of its standard error:\n\n" + tail + "\n";
    return mail;
}

MailText canary_mail(const task::Task& task, std::int64_t version, bool rolled_back, std::string_view detail, std::string_view site_url) {
    const std::string path = fmt::format("{}/{}/{}", task.runtime, task.group, task.name);
    const std::string what = rolled_back ? "was rolled back" : "failed, and could not be rolled back";
    MailText mail;
    mail.subject = one_line(fmt::format("CloudTask: {}: version {} {}", path, version, what));
    std::string& body = mail.body;
    body = one_line(fmt::format("Version {} of task {}, which was on trial, {}.", version, path, what)) + "\n\n";
    line(body, "Why", detail);
    line(body, "Task", task.id);
    line(body, "Version now", std::to_string(task.version));
    if (!site_url.empty()) line(body, "See", fmt::format("{}{}#task={}", site_url, site_url.ends_with('/') ? "" : "/", task.id));
    return mail;
}

std::string render_message(const MailMessage& message) {
    std::string to;
    for (const auto& address : message.to) to += (to.empty() ? "" : ",\r\n ") + one_line(address);
    std::string text;
    text += "Date: " + header_date(message.date) + "\r\n";
    text += "From: CloudTask <" + one_line(message.from) + ">\r\n";
    text += "To: " + to + "\r\n";
    text += "Subject: " + encoded_header(one_line(message.subject)) + "\r\n";
    text += "Message-ID: <" + one_line(message.message_id) + ">\r\n";
    text += "Auto-Submitted: auto-generated\r\n";  // RFC 3834: no vacation notices in return
    text += "MIME-Version: 1.0\r\n";
    text += "Content-Type: text/plain; charset=utf-8\r\n";
    text += "Content-Transfer-Encoding: quoted-printable\r\n\r\n";
    text += quoted_printable(clean_utf8(message.body));
    if (!text.ends_with("\r\n")) text += "\r\n";
    return text;
}

bool is_mail_address(std::string_view text) {
    constexpr std::string_view kRefused = "<>(),;:\"\\[] ";
    if (text.size() > 254) return false;
    const auto at = text.find('@');
    if (at == std::string_view::npos || at == 0 || at + 1 == text.size() || text.find('@', at + 1) != std::string_view::npos) return false;
    return std::all_of(text.begin(), text.end(),
                       [&](char c) { return c > 0x20 && c < 0x7f && kRefused.find(c) == std::string_view::npos; });
}

}  // namespace cloudtask::center
