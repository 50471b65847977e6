// The rules of the history, and the pure parts beside them: UTF-8 in pieces, texts of mails.
#include <catch2/catch.hpp>

#include "center/mail_text.h"
#include "center/mailer.h"
#include "center/run_rules.h"
#include "center/utf8_stream.h"

using namespace cloudtask;
using namespace cloudtask::center;
using task::RunState;

namespace {

constexpr RunState kAll[] = {RunState::pending,   RunState::running, RunState::succeeded, RunState::failed,
                             RunState::timed_out, RunState::stopped, RunState::lost,      RunState::skipped};

Verdict verdict(RunState known, RunState reported, std::string_view reporter, bool online) {
    task::Run run;
    run.state = reported;
    return judge(KnownRun{"t", known, "a", false, false}, run, reporter, online);
}

}  // namespace

TEST_CASE("terminal states are absorbing", "[runs]") {
    for (const auto known : kAll) {
        for (const auto reported : kAll) {
            for (const auto* reporter : {"a", "b", ""}) {
                for (const bool online : {true, false}) {
                    if (task::is_terminal(known)) CHECK(verdict(known, reported, reporter, online) != Verdict::apply);
                }
            }
        }
    }
}

TEST_CASE("what a report may change", "[runs]") {
    task::Run first;
    first.state = RunState::succeeded;
    CHECK(judge(std::nullopt, first, "a", false) == Verdict::apply);
    CHECK(verdict(RunState::pending, RunState::running, "a", true) == Verdict::apply);
    CHECK(verdict(RunState::running, RunState::pending, "a", true) == Verdict::nothing);
    CHECK(verdict(RunState::running, RunState::succeeded, "a", true) == Verdict::apply);
    CHECK(verdict(RunState::running, RunState::succeeded, "b", true) == Verdict::late);
    CHECK(verdict(RunState::running, RunState::lost, "b", true) == Verdict::late);
    CHECK(verdict(RunState::running, RunState::lost, "b", false) == Verdict::apply);
    CHECK(verdict(RunState::running, RunState::lost, "a", true) == Verdict::apply);
    CHECK(verdict(RunState::running, RunState::lost, "", false) == Verdict::apply);
    CHECK(verdict(RunState::running, RunState::skipped, "b", false) == Verdict::late);
    CHECK(verdict(RunState::succeeded, RunState::lost, "b", false) == Verdict::nothing);
    CHECK(verdict(RunState::lost, RunState::succeeded, "a", false) == Verdict::late);
    CHECK(verdict(RunState::failed, RunState::failed, "a", false) == Verdict::nothing);
}

TEST_CASE("what waits on its node is left to it, by whatever others presume", "[runs]") {
    task::Run run;
    for (const char* reason : {"overlap: it waits for the run before it", "retry: attempt 2 of 3, at 12:00"}) {
        run.reason = reason;
        CHECK(waits_on_node(run));
    }
    run.state = RunState::running;
    CHECK_FALSE(waits_on_node(run));
    run.state = RunState::pending;
    run.reason = "";
    CHECK_FALSE(waits_on_node(run));
    const KnownRun known{"t", RunState::pending, "a", false, true};
    for (const auto presumed : {RunState::lost, RunState::skipped}) {
        run.state = presumed;
        CHECK(judge(known, run, "b", false) == Verdict::nothing);
        CHECK(judge(known, run, "a", false) == Verdict::apply);
        CHECK(judge(known, run, "", false) == Verdict::apply);
    }
    run.state = RunState::running;
    CHECK(judge(known, run, "a", true) == Verdict::apply);
}

TEST_CASE("characters are whole whatever the pieces", "[log]") {
    const std::string text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z";
    for (std::size_t size = 1; size <= text.size(); ++size) {
        Utf8Stream stream;
        std::string joined;
        for (std::size_t at = 0; at < text.size(); at += size) {
            const auto piece = stream.take(text.substr(at, size));
            CHECK(clean_utf8(piece) == piece);
            joined += piece;
        }
        CHECK(joined + stream.finish() == text);
    }
    const std::string mark = "\xEF\xBF\xBD";
    CHECK(clean_utf8("a\xFFz") == "a" + mark + "z");
    CHECK(clean_utf8("\xC3") == mark);
    CHECK(clean_utf8("\xE2\x82z") == mark + "z");
    CHECK(clean_utf8("\xC0\xAF") == mark + mark);             // overlong
    CHECK(clean_utf8("\xED\xA0\x80") == mark + mark + mark);  // a surrogate
    CHECK(clean_utf8("\xF4\x90\x80\x80") == mark + mark + mark + mark);
}

TEST_CASE("a failure mail says what failed", "[mail]") {
    task::Run run;
    run.id = "01920000-0000-7000-8000-000000000001";
    run.runtime = "demo";
    run.group = "reports";
    run.task_name = "daily";
    run.state = RunState::failed;
    run.exit_code = 3;
    run.node_name = "n1\r\nBcc: all@example.org";
    run.fire_time = Instant{std::chrono::seconds{1893456000}};
    std::string tail;
    for (int n = 0; n < 1000; ++n) tail += fmt::format("line {}\n", n);
    const auto mail = failure_mail(run, tail, "", "http://center.example");
    CHECK(mail.subject == "CloudTask: demo/reports/daily failed (exit code 3)");
    CHECK(mail.body.find("2030-01-01T00:00:00Z") != std::string::npos);
    CHECK(mail.body.find("line 999") != std::string::npos);
    CHECK(mail.body.find("line 959") == std::string::npos);
    CHECK(mail.body.find("line 960") != std::string::npos);
    CHECK(mail.body.find("n1  Bcc: all@example.org\n") != std::string::npos);
}

TEST_CASE("headers can neither be ended nor added", "[mail]") {
    MailMessage message{"from@example.org",
                        {"to@example.org"},
                        "Gr\xC3\xBC\xC3\x9F"
                        "e\r\nBcc: x@example.org",
                        "a line=\nb \n.\n\xC3\xA9",
                        "id@x",
                        Instant{std::chrono::seconds{1893456000}}};
    const std::string text = render_message(message);
    CHECK(text.starts_with("Date: Tue, 01 Jan 2030 00:00:00 +0000\r\n"));
    CHECK(text.find("\r\nBcc") == std::string::npos);
    CHECK(text.find("\r\nSubject: =?UTF-8?B?") != std::string::npos);
    CHECK(text.ends_with("\r\n\r\na line=3D\r\nb=20\r\n.\r\n=C3=A9\r\n"));
    std::size_t line = 0;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] == '\n') {
            REQUIRE(at > 0);
            CHECK(text[at - 1] == '\r');
            CHECK(at - line <= 79);
            line = at + 1;
        }
    }
    message.body = std::string(500, 'x');
    CHECK(render_message(message).find(std::string(75, 'x') + "=\r\n") != std::string::npos);
}

TEST_CASE("mail addresses that could carry more than an address are refused", "[mail]") {
    CHECK(is_mail_address("ops@example.org"));
    for (const auto* bad : {"", "ops", "@x", "ops@", "a@b@c", "a b@c", "a@c\r\nX: y", "<a@c>", "a@c,b@c"})
        CHECK_FALSE(is_mail_address(bad));
}

TEST_CASE("retries come later and later, never all at once", "[mail]") {
    SeededRandom random(7);
    const MailerOptions options{.from = "x@y"};
    for (std::int64_t attempt = 1; attempt < 30; ++attempt) {
        const auto delay = retry_delay(attempt, options, random);
        CHECK(delay >= options.first_delay / 2);
        CHECK(delay <= options.longest_delay);
        if (attempt > 12) CHECK(delay >= options.longest_delay / 2);
    }
}
