// ScheduleLoad: see schedule_load.h. Pure.
#include "center/schedule_load.h"

#include <algorithm>
#include <numeric>

#include "cloudtask/task/codec.h"

namespace cloudtask::center {

namespace {

constexpr std::int64_t kFiresBetweenLooks = 1024;  // at the time
constexpr std::size_t kSecondsPerMinute = 60;

Error out_of_time() { return {make_error_code(Errc::timeout), "the fires cannot be counted in time"}; }

// Also true of some that have no H ("thu"): those cost more than they need to.
bool may_have_hash(const json::Value& schedule) {
    const auto cron = schedule.FindMember("cron");
    if (cron == schedule.MemberEnd() || !cron->value.IsString()) return false;
    return std::string_view(cron->value.GetString(), cron->value.GetStringLength()).find_first_of("Hh") != std::string_view::npos;
}

}  // namespace

std::vector<std::int64_t> FireCounts::by_minute() const {
    std::vector<std::int64_t> minutes((seconds_.size() + kSecondsPerMinute - 1) / kSecondsPerMinute);
    for (std::size_t second = 0; second < seconds_.size(); ++second) minutes[second / kSecondsPerMinute] += seconds_[second];
    return minutes;
}

std::int64_t FireCounts::total() const { return std::accumulate(seconds_.begin(), seconds_.end(), std::int64_t{0}); }

FireCounts::Peak FireCounts::peak_second() const {
    if (seconds_.empty()) return {from_, 0};
    const auto most = std::max_element(seconds_.begin(), seconds_.end());
    return {from_ + std::chrono::seconds{most - seconds_.begin()}, *most};
}

FireCounts::Peak FireCounts::peak_minute() const {
    const auto minutes = by_minute();
    if (minutes.empty()) return {from_, 0};
    const auto most = std::max_element(minutes.begin(), minutes.end());
    return {from_ + std::chrono::minutes{most - minutes.begin()}, *most};
}

ScheduleLoad::ScheduleLoad(Instant from, Duration length, std::function<bool()> over, std::vector<ring::Member> nodes)
    : counts_(from, length), over_(std::move(over)), nodes_(std::move(nodes)) {}

Result<> ScheduleLoad::walk(const task::Schedule& schedule, const std::function<void(Instant fire)>& visit) const {
    std::int64_t fires = 0;
    for (Instant after = counts_.from() - Duration{1};;) {
        const auto fire = schedule.next(after);
        if (!fire || *fire >= counts_.to()) return {};
        visit(*fire);
        after = *fire;
        if (++fires % kFiresBetweenLooks == 0 && over_ && over_()) return tl::unexpected<Error>(out_of_time());
    }
}

Result<ScheduleLoad::Shape*> ScheduleLoad::shape_of(const json::Value& schedule) {
    std::string text = json::to_text(schedule);
    if (const auto known = by_text_.find(text); known != by_text_.end()) return known->second;
    Faults faults;
    auto read = task::Schedule::read(schedule, "", faults);
    if (!read) return fail(Errc::corrupt, "{}", faults.summary());
    shapes_.push_back({.text = text, .schedule = std::move(*read), .seconds = {}});
    Shape& shape = shapes_.back();
    std::optional<Instant> before;
    auto walked = walk(shape.schedule, [&](Instant fire) {
        shape.seconds.push_back(static_cast<std::uint32_t>((fire - counts_.from()) / std::chrono::seconds{1}));
        if (before) shape.least_gap = std::min(shape.least_gap, fire - *before);
        before = fire;
    });
    if (!walked) return propagate(walked);
    by_text_.emplace(std::move(text), &shape);
    return &shape;
}

// How many runs a fire of the task is.
std::int64_t ScheduleLoad::pieces_of(const json::Value& task) const {
    Faults faults;
    json::ObjectReader reader{task, "", faults};
    std::string mode;
    reader.read("mode", mode);
    if (mode == "broadcast") {
        ring::Placement placement;
        reader.read("targets", placement.targets);
        reader.read("labels", placement.labels);
        return std::count_if(nodes_.begin(), nodes_.end(), [&placement](const ring::Member& node) { return placement.accepts(node); });
    }
    std::int64_t shards = 1;
    if (mode == "shards") reader.read("shards", shards);
    return shards;
}

Result<> ScheduleLoad::add_schedule(std::size_t task, std::size_t index, json::Document& document) {
    json::Value& schedule = document["schedules"][static_cast<rapidjson::SizeType>(index)];
    auto& memory = document.GetAllocator();
    const bool has_jitter = schedule.HasMember("jitter");
    const std::int64_t pieces = pieces_of(document);
    const auto count = [this, pieces](Instant fire) { counts_.add(fire, pieces); };
    // What calendars leave of it follows from the task, which carries them.
    if (schedule.HasMember("exclude") || schedule.HasMember("working_days")) {
        const auto whole = task::read_task(document);
        if (!whole) return propagate(whole);
        return walk(whole->schedules.at(index), count);
    }
    json::Value plain(schedule, memory);
    plain.RemoveMember("jitter");
    auto shape = shape_of(plain);
    if (!shape) return propagate(shape);
    const bool dense = (*shape)->seconds.size() > counts_.size() / kSecondsPerMinute;
    if ((has_jitter && !dense) || may_have_hash(schedule)) {
        Faults faults;
        const auto read = task::Schedule::read(schedule, "", faults);
        if (!read) return fail(Errc::corrupt, "{}", faults.summary());
        return walk(read->for_task(tasks_[task].id), count);
    }
    (*shape)->schedules += pieces;
    const auto mode = document.FindMember("mode");
    const bool single = mode == document.MemberEnd() || mode->value == "single";
    if (!has_jitter && single) entries_.push_back({task, index, *shape});
    return {};
}

Result<> ScheduleLoad::add(TaskRow row, const std::string& document) {
    if (over_ && tasks_.size() % kFiresBetweenLooks == 0 && over_()) return tl::unexpected<Error>(out_of_time());
    auto parsed = json::parse(document);
    if (!parsed || !parsed->IsObject() || !parsed->HasMember("schedules") || !(*parsed)["schedules"].IsArray()) {
        ++unreadable_;
        return {};
    }
    tasks_.push_back(std::move(row));
    json::Value& schedules = (*parsed)["schedules"];
    for (rapidjson::SizeType i = 0; i < schedules.Size(); ++i) {
        if (!schedules[i].IsObject()) continue;
        const auto enabled = schedules[i].FindMember("enabled");
        if (enabled != schedules[i].MemberEnd() && enabled->value.IsFalse()) continue;
        auto added = add_schedule(tasks_.size() - 1, i, *parsed);
        if (added) continue;
        if (added.error().is(Errc::timeout)) return added;
        ++unreadable_;
    }
    return {};
}

Result<> ScheduleLoad::finish() {
    for (const Shape& shape : shapes_) {
        for (const std::uint32_t second : shape.seconds) counts_.add(second, shape.schedules);
    }
    if (over_ && over_()) return tl::unexpected<Error>(out_of_time());
    return {};
}

}  // namespace cloudtask::center
