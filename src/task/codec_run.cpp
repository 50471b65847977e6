// JSON of a Run. Pure; any thread.
//
// Durations are texts with units elsewhere; lateness is a number of microseconds, `lateness_us`, because it may be negative (a clock
// that was set back between the timer and the start).
#include <cstdint>

#include "cloudtask/core/ids.h"
#include "cloudtask/task/codec.h"
#include "cloudtask/task/parameters.h"
#include "task/codec_rules.h"
#include "task/codec_secrets.h"

namespace cloudtask::task {

namespace {

constexpr json::IntegerRule kAnyInteger{.min = INT64_MIN, .max = INT64_MAX};
constexpr json::TextRule kReasonRule{.min = 0, .max = 4096, .multi_line = true};
constexpr json::TextRule kIdRule{.min = 0, .max = 128};

template <class T, class Read>
void read_optional(json::ObjectReader& reader, std::string_view name, std::optional<T>& out, Read read) {
    T value{};
    if (reader.has(name)) {
        if (read(value)) out = value;
    } else {
        reader.ignore(name);
    }
}

void read_optional_instant(json::ObjectReader& reader, std::string_view name, std::optional<Instant>& out) {
    read_optional(reader, name, out, [&](Instant& value) { return reader.read_instant(name, value); });
}

void read_optional_integer(json::ObjectReader& reader, std::string_view name, std::optional<std::int64_t>& out) {
    read_optional(reader, name, out, [&](std::int64_t& value) { return reader.read(name, value, kAnyInteger); });
}

void read_count(json::ObjectReader& reader, std::string_view name, std::uint64_t& out) {
    std::int64_t value = 0;
    if (reader.read(name, value)) out = static_cast<std::uint64_t>(value);
}

// Required, and one of the names that `parse` knows.
template <class T>
void read_named(json::ObjectReader& reader, std::string_view name, T& out, Result<T> (*parse)(std::string_view)) {
    std::string text;
    if (!reader.require(name) || !reader.read(name, text)) return;
    if (const auto parsed = parse(text)) {
        out = *parsed;
    } else {
        reader.faults().add(reader.pointer(name), parsed.error().message);
    }
}

}  // namespace

Result<Run> read_run(const json::Value& value) {
    Faults faults;
    json::ObjectReader reader{value, "", faults};
    Run run;
    read_uuid(reader, "id", run.id);
    read_uuid(reader, "task_id", run.task_id);
    if (reader.has("piece")) {
        read_uuid(reader, "piece", run.piece);
    } else {
        reader.ignore("piece");
    }
    read_optional_integer(reader, "shard", run.shard);
    reader.read("task_version", run.task_version);
    read_slug(reader, "runtime", run.runtime);
    read_slug(reader, "group", run.group);
    read_slug(reader, "task_name", run.task_name);
    read_named(reader, "trigger", run.trigger, &parse_trigger);
    read_optional_instant(reader, "fire_time", run.fire_time);
    reader.read("attempt", run.attempt, {.min = 1});
    read_named(reader, "state", run.state, &parse_run_state);
    reader.read("reason", run.reason, kReasonRule);
    reader.read("package", run.package, kIdRule);
    reader.read("node_id", run.node_id, kIdRule);
    reader.read("node_name", run.node_name, kIdRule);
    reader.read("incarnation", run.incarnation, kIdRule);
    reader.read("epoch", run.epoch);
    read_optional_instant(reader, "started_at", run.started_at);
    read_optional_instant(reader, "ended_at", run.ended_at);
    std::optional<std::int64_t> lateness;
    read_optional_integer(reader, "lateness_us", lateness);
    if (lateness) run.lateness = Duration{*lateness};
    read_optional_instant(reader, "covers_until", run.covers_until);
    if (run.covers_until && (!run.fire_time || *run.covers_until < *run.fire_time)) {
        faults.add(reader.pointer("covers_until"), "is before the fire time, or there is none: an entry covers what follows its own fire");
    }
    read_optional_integer(reader, "exit_code", run.exit_code);
    read_optional_integer(reader, "signal", run.signal);
    read_optional_integer(reader, "http_status", run.http_status);
    read_count(reader, "stdout_bytes", run.stdout_bytes);
    read_count(reader, "stderr_bytes", run.stderr_bytes);
    reader.read("output_truncated", run.output_truncated);
    reader.read("started_by", run.started_by);
    read_secret_versions(reader, run);
    reader.read("first_run", run.first_run, kIdRule);
    run.parameters = read_run_parameters(reader);
    if (reader.has("trigger") && run.trigger == Trigger::schedule && !reader.has("fire_time")) {
        faults.add(reader.pointer("fire_time"), "is missing: a scheduled run has one");
    }
    reader.finish();
    if (!faults.empty()) return fail(Errc::invalid_argument, "the run is not valid: {}", faults.summary());
    return run;
}

void write(json::Writer& out, const Run& run) {
    out.begin_object();
    out.member("id", run.id);
    out.member("task_id", run.task_id);
    if (!run.piece.empty()) out.member("piece", run.piece);
    if (run.shard) out.member("shard", *run.shard);
    out.member("task_version", run.task_version);
    out.member("runtime", run.runtime);
    out.member("group", run.group);
    out.member("task_name", run.task_name);
    out.member("trigger", to_string(run.trigger));
    out.member("fire_time", run.fire_time);
    out.member("attempt", run.attempt);
    out.member("state", to_string(run.state));
    out.member("reason", run.reason);
    out.member("package", run.package);
    out.member("node_id", run.node_id);
    out.member("node_name", run.node_name);
    out.member("incarnation", run.incarnation);
    out.member("epoch", run.epoch);
    out.member("started_at", run.started_at);
    out.member("ended_at", run.ended_at);
    if (run.lateness) out.member("lateness_us", std::int64_t{run.lateness->count()});
    out.member("covers_until", run.covers_until);
    out.member("exit_code", run.exit_code);
    out.member("signal", run.signal);
    out.member("http_status", run.http_status);
    out.member("stdout_bytes", run.stdout_bytes);
    out.member("stderr_bytes", run.stderr_bytes);
    out.member("output_truncated", run.output_truncated);
    out.member("started_by", run.started_by);
    write_secret_versions(out, run);
    if (!run.first_run.empty()) out.member("first_run", run.first_run);
    if (run.parameters) write_run_parameters(out, *run.parameters);
    out.end_object();
}

}  // namespace cloudtask::task
