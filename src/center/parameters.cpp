// The rules of inherited parameters: see parameters.h.
#include "center/parameters.h"

#include <fmt/format.h>

#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "center/calendar_store.h"
#include "center/calendars.h"
#include "center/canary_store.h"
#include "center/runtime_store.h"
#include "center/task_store.h"
#include "cloudtask/task/codec.h"
#include "cloudtask/task/task_parameters.h"

namespace cloudtask::center {

namespace {

constexpr int kTasksPerPage = 500;

using SharedParameters = std::shared_ptr<const task::Parameters>;

// Of one runtime and its groups, each read once.
class InheritedValues {
  public:
    InheritedValues(soci::session& sql, std::string runtime) : sql_(sql), runtime_(std::move(runtime)) {}

    // Into the task, in place of what is there. A runtime or group that is not there gives nothing.
    Result<> give(task::Task& task) {
        if (!of_runtime_) {
            const auto found = find_runtime(sql_, runtime_);
            if (!found) return propagate(found);
            of_runtime_ = *found ? (*found)->parameters : nullptr;
        }
        auto of_group = of_groups_.find(task.group);
        if (of_group == of_groups_.end()) {
            const auto found = find_group_by_name(sql_, runtime_, task.group);
            if (!found) return propagate(found);
            of_group = of_groups_.emplace(task.group, *found ? (*found)->parameters : nullptr).first;
        }
        task::inherit_parameters(task, of_group->second.get(), of_runtime_->get());
        return {};
    }

  private:
    soci::session& sql_;
    std::string runtime_;
    std::optional<SharedParameters> of_runtime_;
    std::map<std::string, SharedParameters> of_groups_;
};

std::string inherited_text(const task::Task& task) {
    json::Writer out;
    out.begin_object();
    task::write_parameters(out, "group", task.parameters->group);
    task::write_parameters(out, "runtime", task.parameters->runtime);
    out.end_object();
    return out.text();
}

// The next version of a task, with what its group and runtime give now; nothing if that is what it has.
Result<std::optional<task::Task>> with_values(soci::session& sql, InheritedValues& values, const std::string& document, Instant now,
                                              Faults& faults) {
    const auto parsed = json::parse(document);
    auto changed = parsed ? task::read_task(*parsed) : Result<task::Task>(propagate(parsed));
    if (!changed) return fail(Errc::corrupt, "a stored task cannot be read: {}", changed.error().message);
    const std::string before = inherited_text(*changed);
    if (auto given = values.give(*changed); !given) return propagate(given);
    if (inherited_text(*changed) == before) return std::optional<task::Task>{};
    Faults own;
    task::check_values(*changed, own);
    if (auto embedded = embed_calendars(sql, *changed, own); !embedded) return propagate(embedded);
    if (!own.empty()) {
        const Fault& first = own.list().front();
        faults.add("/parameters",
                   fmt::format("are used by the task {}/{}, of which {} {}", changed->group, changed->name, first.pointer, first.problem),
                   "change that task first, or give it what it uses");
        return fail(Errc::unsupported, "{}", faults.summary());
    }
    task::adopt_schedules(*changed);
    changed->version += 1;
    changed->updated_at = now;
    return std::optional{std::move(*changed)};
}

}  // namespace

Result<> embed_parameters(soci::session& sql, task::Task& task, Faults& faults) {
    if (!task.parameters) return {};
    if (auto given = InheritedValues{sql, task.runtime}.give(task); !given) return propagate(given);
    task::check_values(task, faults);
    return {};
}

Result<> give_parameters(WriteScope& scope, const ParameterChange& change, Faults& faults) {
    const VersionStamp stamp{scope.principal.name, change.note};
    InheritedValues values{scope.sql, change.runtime};
    for (std::string last;;) {
        const auto page = tasks_with_parameters(scope.sql, change.runtime, change.group, kTasksPerPage, last);
        if (page.empty()) return {};
        last = page.back().id;
        std::vector<task::Task> changed;
        for (const auto& row : page) {
            auto task = with_values(scope.sql, values, row.document, scope.now, faults);
            if (!task) return propagate(task);
            if (*task) changed.push_back(std::move(**task));
        }
        if (changed.empty()) continue;
        std::int64_t revision = take_revisions(scope.sql, static_cast<std::int64_t>(changed.size()));
        for (task::Task& task : changed) task.revision = revision++;
        update_documents(scope.sql, changed, stamp);
        for (const task::Task& task : changed) {
            note_calendars(scope.sql, task);
            extend_canary(scope.sql, task.id, task.version);
        }
        scope.catalog_changed(change.runtime, revision - 1);
    }
}

}  // namespace cloudtask::center
