// Fires as a whole: see fires.h.
#include "center/fires.h"

#include <algorithm>
#include <array>
#include <utility>

#include "center/ledger_store.h"
#include "center/listing.h"
#include "center/sql.h"
#include "center/store.h"
#include "center/version_store.h"
#include "cloudtask/task/codec.h"
#include "cloudtask/task/pieces.h"

namespace cloudtask::center {

using task::RunState;

namespace {

constexpr std::size_t kRunsAtOnce = 500;
constexpr std::size_t kRunsPerPage = 5000;  // beyond which a page takes no further fire: one of 256 shards may have thousands
const ListSpec kFireList{.id_column = "id", .sort = {{"id", "id"}}, .default_sort = "-id", .filters = {}};

bool succeeded(const task::Run& run) { return run.state == RunState::succeeded; }

// One that succeeded; else the last that was not given up before it began.
bool tells_more(const task::Run& run, const task::Run& than) {
    if (succeeded(run) != succeeded(than)) return succeeded(run);
    const bool skipped = run.state == RunState::skipped, other = than.state == RunState::skipped;
    return skipped != other ? other : run.attempt > than.attempt;
}

using Millisecond = std::chrono::sys_time<std::chrono::milliseconds>;
Millisecond millisecond_of(const task::Run& run) { return std::chrono::floor<std::chrono::milliseconds>(*run.fire_time); }

// Runs of fires, newest first, behind the run `beyond`: those of up to `fires` milliseconds in which there are any. `more`: there are older
// ones.
std::map<Instant, std::vector<task::Run>> runs_by_fire(soci::session& sql, const std::string& task_id, std::string beyond,
                                                       std::size_t fires, bool& more) {
    std::map<Instant, std::vector<task::Run>> found;
    std::optional<Millisecond> last;
    std::size_t milliseconds = 0, runs = 0;
    more = false;
    for (;;) {
        RunFilter filter;
        filter.task_id = task_id;
        filter.beyond = beyond;
        filter.limit = kRunsAtOnce;
        auto page = list_runs(sql, filter);
        if (!page.empty()) beyond = page.back().run.id;  // before the runs are moved on
        for (auto& stored : page) {
            if (!stored.run.fire_time) continue;
            if (last != millisecond_of(stored.run)) {
                if (milliseconds == fires || runs >= kRunsPerPage) {
                    more = true;
                    return found;
                }
                ++milliseconds;
                last = millisecond_of(stored.run);
            }
            ++runs;
            found[*stored.run.fire_time].push_back(std::move(stored.run));
        }
        if (page.size() < kRunsAtOnce) return found;
    }
}

struct ModeOfVersion {
    task::Mode mode = task::Mode::single;
    std::int64_t shards = 0;
};

// Nothing is known of a version that cannot be read.
ModeOfVersion mode_of(soci::session& sql, const std::string& task_id, const task::Run& run) {
    const auto unknown = run.shard ? task::Mode::shards : run.piece.empty() ? task::Mode::single : task::Mode::broadcast;
    const auto row = find_version(sql, task_id, run.task_version);
    const auto document = row ? json::parse(row->document) : Result<json::Document>(fail(Errc::not_found, "there is no such version"));
    const auto task = document ? task::read_task(*document) : Result<task::Task>(propagate(document));
    if (!task) return {unknown, 0};
    return {task->mode, task->mode == task::Mode::shards ? task->shards : 0};
}

std::string fire_json(const WholeFire& fire) {
    std::map<std::string_view, std::int64_t> counts;
    for (const auto& part : fire.parts) {
        const auto nobody_told = part.skipped.empty() ? RunState::pending : RunState::skipped;
        ++counts[task::to_string(part.run ? part.run->state : nobody_told)];
    }
    json::Writer out;
    out.begin_object().member("fire_time", fire.time).member("state", to_string(state_of(fire)));
    out.member("task_version", fire.task_version).member("mode", task::to_string(fire.mode));
    out.key("counts").begin_object();
    for (const auto& [state, count] : counts) out.member(state, count);
    out.end_object().key("pieces").begin_array();
    for (const auto& part : fire.parts) {
        out.begin_object();
        if (part.shard) out.member("shard", *part.shard);
        if (part.run) {
            out.member("state", task::to_string(part.run->state)).member("run_id", part.run->id).member("attempts", part.attempts);
            out.member("node_id", part.run->node_id).member("node_name", part.run->node_name);
            out.member("started_at", part.run->started_at).member("ended_at", part.run->ended_at);
        } else {
            out.member("state", part.skipped.empty() ? "PENDING" : "SKIPPED");
        }
        out.member("reason", part.run ? part.run->reason : part.skipped).end_object();
    }
    out.end_array().end_object();
    return out.text();
}

}  // namespace

std::string_view to_string(FireState state) {
    constexpr std::array<std::string_view, 6> kStates{"PENDING", "RUNNING", "SUCCEEDED", "FAILED", "SKIPPED", "INCOMPLETE"};
    return kStates[static_cast<std::size_t>(state)];
}

FireState state_of(const WholeFire& fire) {
    std::size_t open = 0, began = 0, good = 0, skipped = 0;
    for (const auto& part : fire.parts) {
        if (!part.run) {
            ++(part.skipped.empty() ? open : skipped);
            continue;
        }
        switch (part.run->state) {
            case RunState::pending:
                ++open;
                break;
            case RunState::running:
                ++open, ++began;
                break;
            case RunState::succeeded:
                ++good;
                break;
            case RunState::skipped:
                ++skipped;
                break;
            default:
                return FireState::failed;
        }
    }
    if (open > 0) return began + good > 0 ? FireState::running : FireState::pending;
    if (skipped == 0) return FireState::succeeded;
    return good == 0 ? FireState::skipped : FireState::incomplete;
}

WholeFire whole_fire(std::vector<task::Run> runs, task::Mode mode, std::int64_t shards, const std::map<std::string, Covers>& covers) {
    WholeFire fire;
    fire.mode = mode;
    std::map<std::string, FirePart> parts;
    for (auto& run : runs) {
        fire.time = *run.fire_time;
        fire.task_version = std::max(fire.task_version, run.task_version);
        FirePart& part = parts[run.piece];
        ++part.attempts;
        part.shard = run.shard;
        if (!part.run || tells_more(run, *part.run)) part.run = std::move(run);
    }
    const std::string task_id = parts.empty() ? std::string{} : parts.begin()->second.run->task_id;
    for (std::int64_t shard = 0; shard < shards; ++shard) {
        const auto [entry, is_new] = parts.try_emplace(task::shard_id(task_id, shard));
        if (!is_new) continue;
        entry->second.shard = shard;
        const auto covered = covers.find(entry->first);
        const Cover* cover = covered == covers.end() ? nullptr : covered->second.at(fire.time);
        if (cover != nullptr) entry->second.skipped = cover->reason.empty() ? "it was skipped" : cover->reason;
    }
    for (auto& [id, part] : parts) fire.parts.push_back(std::move(part));
    std::sort(fire.parts.begin(), fire.parts.end(), [](const FirePart& a, const FirePart& b) {
        const auto name = [](const FirePart& part) { return part.run ? part.run->node_name : std::string{}; };
        return a.shard != b.shard ? a.shard < b.shard : !a.shard && name(a) < name(b);
    });
    return fire;
}

Result<http::Response> get_fires(Call& call) {
    Faults faults;
    const auto query = call.list_query(kFireList, faults);
    if (query && !query->descending) faults.add("/sort", "is not an order of fires", "-id: the newest first");
    if (!faults.empty()) return faulty_query(faults);
    const std::string& task_id = call.param("id");
    std::vector<std::string> items;
    std::string next;
    const auto read = call.context.store.read([&](soci::session& sql) -> Result<> {
        const auto definition = read_definition(sql, task_id, call.context.clock.now(), call.context.clock.now());
        if (definition.versions.empty()) return fail(Errc::not_found, "there is no task {}", task_id);
        bool more = false;
        auto fires =
            runs_by_fire(sql, task_id, query->after ? query->after->id : std::string{}, static_cast<std::size_t>(query->limit), more);
        if (fires.empty()) return {};
        const auto covers = read_covers(sql, task_id, fires.begin()->first, fires.rbegin()->first + kTick);
        if (more) next = make_cursor(*query, {"", least_run_id(std::chrono::floor<std::chrono::milliseconds>(fires.begin()->first))});
        std::map<std::int64_t, ModeOfVersion> modes;  // by version
        for (auto fire = fires.rbegin(); fire != fires.rend(); ++fire) {
            const auto newest = std::max_element(fire->second.begin(), fire->second.end(),
                                                 [](const task::Run& a, const task::Run& b) { return a.task_version < b.task_version; });
            const auto known = modes.find(newest->task_version);
            const auto mode = known != modes.end() ? known->second : mode_of(sql, task_id, *newest);
            modes.insert_or_assign(newest->task_version, mode);
            items.push_back(fire_json(whole_fire(std::move(fire->second), mode.mode, mode.shards, covers)));
        }
        return {};
    });
    if (!read) return propagate(read);
    return http::Response::json(200, list_body(items, next));
}

}  // namespace cloudtask::center
