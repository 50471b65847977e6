// Parameters and secrets of an HTTP call: what is refused when it is saved, and what is sent.
#include <catch2/catch.hpp>

#include <fmt/format.h>

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "cloudtask/task/codec.h"
#include "cloudtask/task/task_parameters.h"
#include "cloudtask/task/task_secrets.h"

using namespace cloudtask;
using namespace cloudtask::task;

namespace {

using Texts = std::vector<std::string>;
using TextMap = std::map<std::string, std::string>;

std::optional<Task> calling_task(const std::string& http, const std::string& members, Faults& faults) {
    const auto document = json::parse(R"({"runtime": "demo", "group": "ops", "name": "hook", "schedules": [{"cron": "0 3 * * *"}],
        "http": )" + http + (members.empty() ? "" : ", ") +
                                      members + "}");
    if (!document) FAIL(document.error().message);
    auto task = read_task_input(*document, faults);
    if (task) {
        task->id = "018f3c2e-1111-7222-8333-123456789abc";
        adopt_schedules(*task);
    }
    return task;
}

// "pointer: problem" of each fault of such a call, in a task with a parameter `day` and a secret `TOKEN` that its header names.
Texts template_faults(const std::string& url, const std::string& header = "x", const std::string& body = "",
                      const std::string& header_name = "x-a") {
    Faults faults;
    const std::string http =
        fmt::format(R"({{"method": "POST", "url": "{}", "headers": {{"{}": "{}", "x-token": "${{secrets.TOKEN}}"}}, "body": "{}"}})", url,
                    header_name, header, body);
    calling_task(http, R"("parameters": {"day": "x"}, "secrets": {"TOKEN": "books"})", faults);
    Texts list;
    for (const auto& fault : faults.list()) list.push_back(fault.pointer + ": " + fault.problem);
    return list;
}

Run fire_of(const Task& task, const TextMap& manual = {}) {
    Run run;
    run.id = run.task_id = task.id;
    run.runtime = task.runtime;
    run.group = task.group;
    run.task_name = task.name;
    run.trigger = Trigger::manual;
    RunParameters parameters;
    parameters.as_of = parse_instant("2026-11-21T03:00:00Z").value();
    for (const auto& [name, value] : manual) parameters.values[name] = {value, ParameterOrigin::manual};
    run.parameters = std::make_shared<const RunParameters>(std::move(parameters));
    return run;
}

Task saved_call(const std::string& http, const std::string& members) {
    Faults faults;
    auto task = calling_task(http, members, faults);
    if (!task) FAIL(faults.summary());
    return *task;
}

// What is called with `value` for the parameter `p`, as "url | x-a | body", or the error.
std::string called_with(const std::string& http, const std::string& value, const TextMap& secrets = {}) {
    const std::string names = secrets.empty() ? R"("parameters": {"p": null}, "schedules": [])"
                                              : R"("parameters": {"p": null}, "secrets": {"TOKEN": "books"}, "schedules": [])";
    Faults faults;
    const auto document = json::parse(R"({"runtime": "demo", "group": "ops", "name": "hook", "http": )" + http + ", " + names + "}");
    if (!document) FAIL(document.error().message);
    auto task = read_task_input(*document, faults);
    if (!task) FAIL(faults.summary());
    task->id = "018f3c2e-1111-7222-8333-123456789abc";
    Run run = fire_of(*task, {{"p", value}});
    if (const auto done = work_out_parameters(*task, run); !done) return done.error().message;
    const auto made = worked_out_call(*task, run, secrets);
    if (!made) return made.error().message;
    const auto header = made->call.headers.find("x-a");
    return made->call.url + " | " + (header == made->call.headers.end() ? "" : header->second) + " | " + made->call.body;
}

}  // namespace

TEST_CASE("expressions of a call are checked when it is saved") {
    CHECK(template_faults("https://a.org/${day}?at=${fire_time}", "${day} ${run_id}", "${fire_date - 1 day}").empty());
    CHECK(template_faults("https://a.org/${dya}") == Texts{"/http/url: character 17: 'dya' is not a name that the task has"});
    CHECK(template_faults("https://a.org/", "${dya}", "${fire_dat}") ==
          Texts{"/http/headers/x-a: character 3: 'dya' is not a name that the task has",
                "/http/body: character 3: 'fire_dat' is not a name that the task has"});
    CHECK(template_faults("https://a.org/${day").size() == 1);
    // Where it goes is fixed.
    for (const char* moved : {"${day}", "${day}://a.org/", "https://${day}/", "https://a.org:${day}/", "https://a${day}.org/x",
                              "https://a.org${day}", "https://a.org$${day}/", "//${day}/"}) {
        INFO(moved);
        CHECK(template_faults(moved) ==
              Texts{"/http/url: has an expression before its path: the scheme, host and port that are called are fixed"});
    }
    CHECK(template_faults("ftp://a.org/${day}") == Texts{"/http/url: is neither http:// nor https://"});
    CHECK(template_faults("https://u:p@a.org/${day}").size() == 1);
    CHECK(template_faults("https://127.1/${day}").size() == 1);
    CHECK(template_faults("https://a.org/${day}#x").size() == 1);
    CHECK(template_faults("https://a.org/../${day}").size() == 1);
    CHECK(template_faults("https://a.org/?q=../${day}").empty());
    // Calendars come along from here too.
    const Task calendared = saved_call(R"({"url": "https://a.org/${fire_date - 1 working day of de}"})", R"("parameters": {})");
    CHECK(expression_calendars(calendared) == TextMap{{"de", "/http/url"}});
    // Without parameters nothing is an expression.
    Faults faults;
    const auto plain = calling_task(R"({"url": "https://a.org/$x", "headers": {"x-a": "${dya}"}})", "", faults);
    REQUIRE(plain);
    CHECK(plain->http->headers.at("x-a") == "${dya}");
    CHECK_FALSE(calling_task(R"({"url": "https://a.org/${day}"})", "", faults));
}

TEST_CASE("secrets of a call are named in headers and the body, each by one that the task has") {
    CHECK(template_faults("https://a.org/", "Basic ${secrets.TOKEN}", "${secrets.TOKEN}").empty());
    CHECK(template_faults("https://a.org/", "${secrets.OTHER}") ==
          Texts{"/http/headers/x-a: names the secret 'OTHER', which 'secrets' of the task does not have"});
    CHECK(template_faults("https://a.org/${secrets.TOKEN}") ==
          Texts{"/http/url: has the secret 'TOKEN', and addresses are written to logs"});
    CHECK(template_faults("https://a.org/", "${secrets.TOKEN}", "", "User-Agent") ==
          Texts{"/http/headers/user-agent: has the secret 'TOKEN', and goes along where a redirect leads"});
    CHECK(template_faults("https://a.org/", "${secrets.}").size() == 1);
    CHECK(template_faults("https://a.org/", "${secrets.TOKEN as %Y}").size() == 1);

    const auto faults_with = [](const std::string& members) {
        Faults faults;
        calling_task(R"({"url": "https://a.org/", "headers": {"x-a": "${secrets.TOKEN}"}})", members, faults);
        Texts list;
        for (const auto& fault : faults.list()) list.push_back(fault.pointer + ": " + fault.problem);
        return list;
    };
    CHECK(faults_with(R"("parameters": {}, "secrets": {"TOKEN": "books", "SPARE": "x"})") ==
          Texts{"/secrets/SPARE: is named neither in a header nor in the body"});
    CHECK(faults_with(R"("parameters": {}, "secrets": {"TOKEN": {"secret": "books", "as": "file"}})") ==
          Texts{"/secrets/TOKEN: is a file, which no call has"});
    CHECK(faults_with(R"("parameters": {"p": "${secrets.TOKEN}"}, "secrets": {"TOKEN": "books"})") ==
          Texts{"/parameters/p: character 3: a secret cannot stand here"});
    Faults faults;
    CHECK_FALSE(read_task_input(*json::parse(R"({"runtime": "demo", "group": "ops", "name": "a", "command": ["a", "${secrets.T}"],
        "parameters": {}, "secrets": {"T": "books"}})"),
                                faults));
    CHECK_THAT(faults.summary(), Catch::Contains("a secret cannot stand here"));

    const Task task = saved_call(R"({"url": "https://a.org/", "headers": {"x-a": "${secrets.TOKEN}"}, "sign": {"secret": "hook"}})",
                                 R"("parameters": {}, "secrets": {"TOKEN": "books"})");
    CHECK(to_json(task).find(R"("secrets":{"TOKEN":"books"})") != std::string::npos);
    const auto named = named_secrets(task);
    REQUIRE(named.size() == 2);
    CHECK(named[0].pointer + " " + named[0].secret == "/secrets/TOKEN books");
    CHECK(named[1].pointer + " " + named[1].secret == "/http/sign/secret hook");
}

TEST_CASE("a value stays what it is, wherever it is put in") {
    const std::string url = R"({"url": "https://a.org/x/${p}?q=${p}$$"})";
    CHECK(called_with(url, "eu-1.2_~") == "https://a.org/x/eu-1.2_~?q=eu-1.2_~$ |  | ");
    CHECK(called_with(url, "a b/c?d&e=f#g%") == "https://a.org/x/a%20b%2Fc%3Fd%26e%3Df%23g%25?q=a%20b%2Fc%3Fd%26e%3Df%23g%25$ |  | ");
    CHECK(called_with(url, "@evil.org\r\n\xc3\xa9") == "https://a.org/x/%40evil.org%0D%0A%C3%A9?q=%40evil.org%0D%0A%C3%A9$ |  | ");
    CHECK(called_with(R"({"url": "https://a.org?${fire_time as %H:%M %z}${p}"})", "") == "https://a.org/?03%3A00%20%2B0000 |  | ");
    for (const char* dots : {"..", "."}) {
        CHECK_THAT(called_with(R"({"url": "https://a.org/x/${p}/y"})", dots), Catch::StartsWith("the address has '.' or '..'"));
    }
    CHECK_THAT(called_with(R"({"url": "https://a.org/x/.${p}"})", "."), Catch::StartsWith("the address has '.' or '..'"));
    CHECK_THAT(called_with(R"({"url": "https://a.org/x/%2e${p}"})", "."), Catch::StartsWith("the address has '.' or '..'"));
    CHECK(called_with(R"({"url": "https://a.org/x/${p}"})", "...") == "https://a.org/x/... |  | ");
    CHECK_THAT(called_with(R"({"url": "https://a.org/${p}"})", std::string(4096, 'a')), Catch::Contains("longer than 4096 bytes"));

    const std::string header = R"({"url": "https://a.org/", "headers": {"X-A": "<${p}>"}})";
    CHECK(called_with(header, "a: b") == "https://a.org/ | <a: b> | ");
    for (const char* broken : {"a\r\nx-evil: 1", "a\n", "\xc3\xa9", "\x7f"}) {
        CHECK(called_with(header, broken) == "the header x-a has a control character or one outside of ASCII");
    }

    const auto body_of = [&](const std::string& type, const std::string& value) {
        return called_with(R"({"method": "POST", "url": "https://a.org/", "headers": {"Content-Type": ")" + type +
                               R"("}, "body": "{\"p\": \"${p}\", \"c\": \"$$\"}"})",
                           value);
    };
    CHECK(body_of("application/json; charset=utf-8", "a\", \"admin\": \"\\\n") ==
          R"(https://a.org/ |  | {"p": "a\", \"admin\": \"\\\n", "c": "$"})");
    CHECK(body_of("Application/Problem+JSON", "\"") == R"(https://a.org/ |  | {"p": "\"", "c": "$"})");
    CHECK(body_of("application/x-www-form-urlencoded", "a&b=c") == R"(https://a.org/ |  | {"p": "a%26b%3Dc", "c": "$"})");
    CHECK(body_of("text/plain", "\"") == R"(https://a.org/ |  | {"p": """, "c": "$"})");
}

TEST_CASE("secrets come with the call, and a body that has one says so") {
    const std::string http =
        R"({"method": "POST", "url": "https://a.org/", "headers": {"x-a": "Bearer ${secrets.TOKEN}"}, "body": "${p}"})";
    CHECK(called_with(http, "b", {{"TOKEN", "only-for-it"}}) == "https://a.org/ | Bearer only-for-it | b");
    CHECK(called_with(http, "${secrets.TOKEN}", {{"TOKEN", "only-for-it"}}) == "https://a.org/ | Bearer only-for-it | ${secrets.TOKEN}");
    CHECK(called_with(http, "b", {{"TOKEN", "of two\nlines"}}) == "the header x-a has a control character or one outside of ASCII");
    CHECK_THAT(called_with(http, "b", {{"OTHER", "x"}}), Catch::Contains("secrets.TOKEN"));

    for (const auto& [text, is_private] : std::map<std::string, bool>{{"a ${secrets.TOKEN}", true}, {"a ${fire_date}", false}}) {
        const Task task =
            saved_call(R"({"method": "POST", "url": "https://a.org/", "headers": {"x-a": "${secrets.TOKEN}"}, "body": ")" + text + "\"}",
                       R"("parameters": {}, "secrets": {"TOKEN": "books"})");
        Run run = fire_of(task);
        REQUIRE(work_out_parameters(task, run));
        const auto made = worked_out_call(task, run, {{"TOKEN", "only-for-it"}});
        REQUIRE(made);
        CHECK(made->private_body == is_private);
    }
}
