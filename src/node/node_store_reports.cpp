// Reports as values. Pure; any thread.
#include "cloudtask/core/json.h"
#include "node/node_store.h"

namespace cloudtask::node {

Report run_report(const std::string& incarnation, const task::Run& run) {
    Report report;
    report.kind = Report::Kind::run;
    report.incarnation = incarnation;
    report.run = run;
    report.run_id = run.id;
    return report;
}

Report hand_over_report(const std::string& incarnation, const task::Run& run, task::HandOver hand_over) {
    Report report = run_report(incarnation, run);
    report.hand_over = std::move(hand_over);
    return report;
}

Report log_report(const std::string& incarnation, const std::string& run_id, Stream stream, std::uint64_t from, std::uint64_t until,
                  const LogShape& shape) {
    Report report;
    report.kind = Report::Kind::log;
    report.incarnation = incarnation;
    report.run_id = run_id;
    report.stream = stream;
    report.from = from;
    report.until = until;
    report.shape = shape;
    return report;
}

Report command_report(const std::string& incarnation, const std::string& command_id, bool done, std::string_view detail) {
    json::Writer out;
    out.begin_object().member("command_id", command_id).member("outcome", done ? "done" : "refused").member("detail", detail).end_object();
    Report report;
    report.kind = Report::Kind::command;
    report.incarnation = incarnation;
    report.body = out.text();
    return report;
}

}  // namespace cloudtask::node
