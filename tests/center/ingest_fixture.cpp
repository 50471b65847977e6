// See ingest_fixture.h.
#include "ingest_fixture.h"

#include <soci/soci.h>
#include <catch2/catch.hpp>

#include "center/runtime_store.h"
#include "center/task_store.h"
#include "cloudtask/core/hash.h"
#include "cloudtask/core/ids.h"
#include "cloudtask/task/attempts.h"
#include "cloudtask/task/codec.h"
#include "cloudtask/task/hand_over.h"

namespace cloudtask::center {

namespace {

std::string report(const std::string& incarnation, std::int64_t sequence, const std::string& rest) {
    return fmt::format(R"({{"incarnation":"{}","sequence":{},{}}})", incarnation, sequence, rest);
}

}  // namespace

HistoryFixture::HistoryFixture()
    : store(std::move(*Store::open(folder.file("center.db")))), logs(*LogFiles::open(folder.file("logs"))), ingest(make_ingest()) {
    task.id = "01920000-0000-7000-8000-000000000001";
    task.runtime = "demo";
    task.group = "reports";
    task.name = "daily";
    task.shell = "date";
    const auto written = store->write([&](soci::session& sql) -> Result<> {
        insert_runtime(sql, task::Runtime{.name = "demo", .description = {}, .notify = {"ops@example.org"}});
        insert_group(
            sql, task::Group{
                     .id = "01920000-0000-7000-8000-000000000002", .runtime = "demo", .name = "reports", .description = {}, .notify = {}});
        task.revision = next_revision(sql);
        insert_task(sql, task, "01920000-0000-7000-8000-000000000002", {"admin"});
        return {};
    });
    REQUIRE(written);
}

Ingest HistoryFixture::make_ingest() {
    return Ingest(IngestParts{.store = *store,
                              .logs = logs,
                              .cluster = cluster,
                              .clock = clock,
                              .metrics = run_metrics,
                              .mail = {{}, "cloudtask@example.org", "http://center.example"},
                              .max_log_bytes = 1 << 20,
                              .runs_changed = [this](const std::set<std::string>& ids) { changed.insert(ids.begin(), ids.end()); },
                              .mail_waiting = {},
                              .catalog_changed = [this](const std::string&, std::int64_t revision) { catalog_revision = revision; },
                              .commands_waiting = [this](const std::string& node_id) { woken.push_back(node_id); }});
}

task::Run HistoryFixture::run(int number, task::RunState state, const std::string& node) const {
    task::Run run;
    run.fire_time = Instant{std::chrono::seconds{1893456000 + number}};
    run.id = task::run_id(task.id, *run.fire_time, 1);
    run.task_id = task.id;
    run.task_version = 1;
    run.runtime = task.runtime;
    run.group = task.group;
    run.task_name = task.name;
    run.state = state;
    run.node_id = node;
    run.node_name = node == kNode ? "n1" : "n2";
    run.incarnation = node + ".1";
    run.epoch = 1;
    if (state != task::RunState::pending && state != task::RunState::skipped) run.started_at = run.fire_time;
    if (task::is_terminal(state)) run.ended_at = *run.fire_time + std::chrono::seconds{1};
    if (state == task::RunState::failed) run.exit_code = 3;
    if (state == task::RunState::succeeded) run.exit_code = 0;
    return run;
}

std::string HistoryFixture::run_report(const task::Run& run, std::int64_t sequence, const std::string& incarnation) const {
    json::Writer out;
    task::write(out, run);
    return report(incarnation, sequence, R"("kind":"run","run":)" + out.text());
}

task::Run HistoryFixture::further_attempt(const task::Run& run) const {
    task::Task tried = task;
    task::Retry retry;
    retry.delay = std::chrono::seconds{2};
    retry.elsewhere = true;
    tried.retry = std::make_shared<const task::Retry>(retry);
    return *task::next_attempt(tried, run, run.attempt, "").run;
}

std::string HistoryFixture::hand_over_report(const task::Run& attempt, std::int64_t sequence, const std::string& incarnation) const {
    json::Writer out;
    out.begin_object().key("run").raw(task::to_json(attempt));
    task::write_hand_over(out, {*attempt.fire_time + std::chrono::seconds{3}, attempt.attempt - 1, attempt.node_id});
    out.end_object();
    const std::string text = out.text();
    return report(incarnation, sequence, R"("kind":"run",)" + text.substr(1, text.size() - 2));
}

std::string HistoryFixture::log_report(const task::Run& run, const std::string& stream, std::uint64_t offset, const std::string& data,
                                       std::int64_t sequence) const {
    return report(
        kIncarnation, sequence,
        fmt::format(R"("kind":"log","run_id":"{}","stream":"{}","offset":{},"data":"{}")", run.id, stream, offset, to_base64(data)));
}

std::string HistoryFixture::command_report(const std::string& command_id, const std::string& outcome, std::int64_t sequence) const {
    return report(kIncarnation, sequence,
                  fmt::format(R"("kind":"command","command_id":"{}","outcome":"{}","detail":"why")", command_id, outcome));
}

Result<std::size_t> HistoryFixture::send(const std::vector<std::string>& reports, const std::string& node) {
    std::string body;
    for (const auto& each : reports) body += (body.empty() ? "" : ",") + each;
    return ingest.apply(node, "demo", R"({"reports":[)" + body + "]}");
}

void HistoryFixture::take(const std::vector<std::string>& reports, const std::string& node) {
    const auto taken = send(reports, node);
    INFO((taken ? std::string{} : taken.error().message));
    REQUIRE(taken);
    REQUIRE(*taken == reports.size());
}

StoredRun HistoryFixture::stored(const std::string& run_id) {
    std::optional<StoredRun> found;
    REQUIRE(store->read([&](soci::session& sql) -> Result<> {
        found = find_run(sql, run_id);
        return {};
    }));
    REQUIRE(found);
    return *found;
}

std::optional<QueuedMail> HistoryFixture::failure_mail(const std::string& run_id) {
    std::optional<QueuedMail> found;
    REQUIRE(store->read([&](soci::session& sql) -> Result<> {
        found = find_mail(sql, "run-failed:" + run_id);
        return {};
    }));
    return found;
}

std::optional<std::string> HistoryFixture::late_report(const std::string& run_id) {
    const std::string found = text("SELECT coalesce(late_report, '') FROM runs WHERE id = '" + run_id + "'");
    return found.empty() ? std::nullopt : std::optional<std::string>(found);
}

long long HistoryFixture::number(const std::string& query) {
    long long value = -1;
    REQUIRE(store->read([&](soci::session& sql) -> Result<> {
        sql << query, soci::into(value);
        return {};
    }));
    return value;
}

std::string HistoryFixture::text(const std::string& query) {
    std::string value;
    REQUIRE(store->read([&](soci::session& sql) -> Result<> {
        sql << query, soci::into(value);
        return {};
    }));
    return value;
}

void HistoryFixture::set_online(const std::vector<std::string>& node_ids) {
    auto view = std::make_shared<ClusterView>();
    view->connected = true;
    RuntimeView& runtime = view->runtimes["demo"];
    runtime.complete = true;
    std::vector<ring::Member> members;
    for (const auto& id : node_ids) {
        ring::Member member{.id = id, .incarnation = id + ".1", .name = id == kNode ? "n1" : "n2", .labels = {}};
        runtime.nodes[id].member = member;
        members.push_back(member);
    }
    runtime.epoch = 1;
    runtime.ring = std::make_shared<const ring::Ring>(members);
    cluster.set(view);
}

}  // namespace cloudtask::center
