// NodeStore: the outbox. Reports enter in commit() (node_store_journal.cpp) by way of append_reports(), and leave from the front.
#include "node/node_store_outbox.h"

#include <algorithm>

#include "cloudtask/core/json.h"
#include "cloudtask/task/codec.h"
#include "cloudtask/task/hand_over.h"

namespace cloudtask::node {

namespace {

constexpr std::uint64_t kMaxLogBytes = 64 * 1024;  // of one log report: docs/wire.md

Result<std::int64_t> last_sequence(Database& database, const std::string& incarnation) {
    Query query(database, "SELECT last FROM sequences WHERE incarnation = ?");
    query.bind(incarnation);
    const std::int64_t last = query.next() ? query.integer(0) : 0;
    if (const auto read = query.finish(); !read) return propagate(read);
    return last;
}

std::string body_of(const Report& report) {
    if (!report.run) return report.body;
    if (!report.hand_over) return fmt::format(R"({{"run":{}}})", task::to_json(*report.run));
    json::Writer out;
    out.begin_object().key("run").raw(task::to_json(*report.run));
    if (report.hand_over) task::write_hand_over(out, *report.hand_over);
    out.end_object();
    return out.text();
}

// The command may be forgotten once the report of its outcome is delivered.
Result<> note_command_outcome(Database& database, const Report& report, std::int64_t position) {
    const auto body = json::parse(report.body);
    if (!body) return propagate(body);
    Faults faults;
    std::string id;
    json::ObjectReader reader(*body, "", faults);
    reader.require("command_id");
    reader.read("command_id", id);
    if (!faults.empty()) return fail(Errc::invalid_argument, "the report of a command: {}", faults.summary());
    return Query(database, "UPDATE commands SET position = ? WHERE id = ?").bind(position).bind(id).run();
}

}  // namespace

Result<> OutboxAppender::append(const Report& report) {
    if (report.kind != Report::Kind::log) {
        if (const auto added = add(report, 0, 0); !added) return added;
        return report.kind == Report::Kind::command ? note_command_outcome(database_, report, position_) : Result<>{};
    }
    for (std::uint64_t from = report.from; from < report.until;) {
        const std::uint64_t until = std::min(report.until, from + kMaxLogBytes);
        if (const auto added = add(report, from, until); !added) return added;
        from = until;
    }
    return Query(database_, "UPDATE journal SET position = ? WHERE run_id = ?").bind(position_).bind(report.run_id).run();
}

Result<> OutboxAppender::add(const Report& report, std::uint64_t from, std::uint64_t until) {
    auto sequence = sequences_.find(report.incarnation);
    if (sequence == sequences_.end()) {
        const auto known = impl_.sequences.find(report.incarnation);
        const auto last =
            known != impl_.sequences.end() ? Result<std::int64_t>(known->second) : last_sequence(database_, report.incarnation);
        if (!last) return propagate(last);
        sequence = sequences_.emplace(report.incarnation, *last).first;
    }
    return Query(database_, "INSERT INTO outbox VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(++position_)
        .bind(static_cast<std::int64_t>(report.kind))
        .bind(report.incarnation)
        .bind(++sequence->second)
        .bind(body_of(report))
        .bind(report.run_id)
        .bind(static_cast<std::int64_t>(report.stream))
        .bind(from)
        .bind(until)
        .bind(report.shape.limit)
        .bind(report.shape.written)
        .bind(static_cast<std::int64_t>(report.shape.final))
        .run();
}

Result<> OutboxAppender::write_counters() {
    for (const auto& [incarnation, last] : sequences_) {
        const auto written = Query(database_, "INSERT OR REPLACE INTO sequences VALUES (?, ?)").bind(incarnation).bind(last).run();
        if (!written) return written;
    }
    if (position_ == impl_.last_position) return {};
    return set_counter(database_, "last_position", position_);
}

void OutboxAppender::committed() {
    impl_.last_position = position_;
    for (const auto& [incarnation, last] : sequences_) impl_.sequences[incarnation] = last;
}

Result<std::vector<Report>> NodeStore::oldest_reports(std::size_t count) {
    std::vector<Report> reports;
    Query query(impl_->database,
                "SELECT position, kind, incarnation, sequence, body, run_id, stream, from_offset, until_offset, shape_limit, "
                "shape_written, shape_final FROM outbox ORDER BY position LIMIT ?");
    query.bind(static_cast<std::int64_t>(count));
    while (query.next()) {
        Report& report = reports.emplace_back();
        report.position = query.integer(0);
        report.kind = static_cast<Report::Kind>(query.integer(1));
        report.incarnation = query.text(2);
        report.sequence = query.integer(3);
        report.body = query.text(4);
        report.run_id = query.text(5);
        report.stream = static_cast<Stream>(query.integer(6));
        report.from = query.size(7);
        report.until = query.size(8);
        report.shape = LogShape{.limit = query.size(9), .written = query.size(10), .final = query.integer(11) != 0};
    }
    if (const auto read = query.finish(); !read) return propagate(read);
    return reports;
}

Result<> NodeStore::delivered_until(std::int64_t position) {
    const std::int64_t delivered = std::min(position, impl_->last_position);
    if (delivered <= impl_->delivered_position) return {};
    const auto done = impl_->database.transaction([&]() -> Result<> {
        const auto erased = Query(impl_->database, "DELETE FROM outbox WHERE position <= ?").bind(delivered).run();
        if (!erased) return erased;
        return set_counter(impl_->database, "delivered_position", delivered);
    });
    if (done) impl_->delivered_position = delivered;
    return done;
}

Result<std::int64_t> NodeStore::outbox_depth() { return impl_->last_position - impl_->delivered_position; }

}  // namespace cloudtask::node
