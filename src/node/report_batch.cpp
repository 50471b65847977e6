// Writing reports: see report_batch.h.
#include "node/report_batch.h"

#include <algorithm>

#include "cloudtask/core/hash.h"
#include "cloudtask/core/json.h"
#include "cloudtask/core/log.h"

namespace cloudtask::node {

namespace {

constexpr std::string_view kHead = R"({"reports":[)";
constexpr std::size_t kLongestTail = 40;  // `],"pending":` and a number

std::string_view name_of(Report::Kind kind) {
    switch (kind) {
        case Report::Kind::run:
            return "run";
        case Report::Kind::log:
            return "log";
        case Report::Kind::command:
            return "command";
    }
    return "run";
}

std::string log_bytes(const OutgoingReport& outgoing) {
    const Report& report = outgoing.report;
    const std::uint64_t count = report.until - report.from;
    auto bytes = outgoing.mask ? read_masked_log(outgoing.output_path, report.shape, report.from, count, *outgoing.mask)
                               : read_log(outgoing.output_path, report.shape, report.from, count);
    if (bytes) return std::move(*bytes);
    log::error("reports: {} bytes of {} of run {} are lost: {}", report.until - report.from, to_string(report.stream), report.run_id,
               bytes.error().message);
    return {};
}

std::string text_of(const OutgoingReport& outgoing) {
    const Report& report = outgoing.report;
    json::Writer out;
    out.begin_object().member("incarnation", report.incarnation).member("sequence", report.sequence).member("kind", name_of(report.kind));
    if (report.kind == Report::Kind::log) {
        out.member("run_id", report.run_id).member("stream", to_string(report.stream)).member("offset", report.from);
        out.member("data", to_base64(log_bytes(outgoing)));
    }
    out.end_object();
    std::string text = out.text();
    if (report.kind != Report::Kind::log) {
        // The body is an object of the members that are still missing.
        text.back() = ',';
        text.append(report.body, 1);
    }
    return text;
}

}  // namespace

ReportBody make_report_body(const std::vector<OutgoingReport>& reports, std::int64_t depth, std::size_t max_bytes) {
    ReportBody batch;
    batch.body = kHead;
    for (const auto& outgoing : reports) {
        const std::string text = text_of(outgoing);
        if (batch.count > 0 && batch.body.size() + 1 + text.size() + kLongestTail > max_bytes) break;
        if (batch.count > 0) batch.body += ',';
        batch.body += text;
        ++batch.count;
    }
    batch.body += fmt::format("],\"pending\":{}}}", std::max<std::int64_t>(0, depth - static_cast<std::int64_t>(batch.count)));
    return batch;
}

}  // namespace cloudtask::node
