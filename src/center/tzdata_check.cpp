// TzdataCheck: see tzdata_check.h.
#include "center/tzdata_check.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "center/mail_store.h"
#include "center/meta_store.h"
#include "center/task_store.h"
#include "cloudtask/core/hash.h"
#include "cloudtask/core/log.h"
#include "cloudtask/task/codec.h"
#include "cloudtask/task/tzdata.h"

namespace cloudtask::center {

namespace {

constexpr const char* kMetaKey = "tzdata";
constexpr int kTasksPerLook = 1000;
constexpr std::size_t kMostListed = 1000;  // tasks, in the state and the API
constexpr std::size_t kMostInMail = 50;    // tasks
constexpr int kFiresCompared = 100;
constexpr Duration kLookAhead = std::chrono::hours{24 * 366};

using Zones = std::map<std::string, std::string>;  // name to SHA-256 of its file

struct ChangedTask {
    std::string id, runtime, group, name, zone;
    std::optional<Instant> before, after;  // the first fire that differs
};

json::Document read_state(soci::session& sql) {
    const auto text = find_meta(sql, kMetaKey);
    auto state = text ? json::parse(*text) : Result<json::Document>{json::Document{}};
    json::Document empty;
    empty.SetObject();
    return state && state->IsObject() ? std::move(*state) : std::move(empty);
}

Zones zones_of(const json::Document& state) {
    Zones zones;
    const auto found = state.FindMember("zones");
    if (found == state.MemberEnd() || !found->value.IsObject()) return zones;
    for (const auto& zone : found->value.GetObject()) {
        if (zone.value.IsString()) zones.emplace(zone.name.GetString(), zone.value.GetString());
    }
    return zones;
}

std::string text_of(const json::Document& state, const char* name) {
    const auto found = state.FindMember(name);
    return found != state.MemberEnd() && found->value.IsString() ? found->value.GetString() : std::string{};
}

// Every enabled task, page by page, so that no read lasts.
Result<> visit_tasks(Store& store, const std::function<void(const DefinitionRow& row, const task::Task& task)>& visit) {
    std::string after;
    for (bool more = true; more;) {
        auto read = store.read([&](soci::session& sql) -> Result<> {
            const int rows = visit_definitions(sql, {}, after, kTasksPerLook, [&](const DefinitionRow& row) {
                after = row.id;
                const auto document = json::parse(row.document);
                if (!document) return;
                if (const auto task = task::read_task(*document)) visit(row, *task);
            });
            more = rows == kTasksPerLook;
            return {};
        });
        if (!read) return read;
    }
    return {};
}

// The first two fires that differ: of the next ones each is compared, of those of the next year one a day.
std::optional<std::pair<std::optional<Instant>, std::optional<Instant>>> first_difference(const task::Schedule& before,
                                                                                          const task::Schedule& after, Instant now) {
    Instant from = now;
    for (int i = 0; i < kFiresCompared; ++i) {
        const auto old_fire = before.next(from), new_fire = after.next(from);
        const auto beyond = [&](const std::optional<Instant>& fire) { return !fire || *fire > now + kLookAhead; };
        if (beyond(old_fire) && beyond(new_fire)) return std::nullopt;
        if (old_fire != new_fire) return std::pair{old_fire, new_fire};
        from = *old_fire;
    }
    for (Instant day = from + std::chrono::hours{24}; day < now + kLookAhead; day += std::chrono::hours{24}) {
        const auto old_fire = before.next(day), new_fire = after.next(day);
        if (old_fire != new_fire) return std::pair{old_fire, new_fire};
    }
    return std::nullopt;
}

class Copies {
  public:
    explicit Copies(std::string folder) : folder_(std::move(folder)) {}

    std::string path(const std::string& sha256) const { return folder_ + "/" + sha256; }

    Result<> keep(const std::string& sha256, const std::string& content) const {
        std::error_code error;
        std::filesystem::create_directories(folder_, error);
        if (std::filesystem::exists(path(sha256), error)) return {};
        const std::string part = path(sha256) + ".part";
        std::ofstream file(part, std::ios::binary);
        file << content;
        file.close();
        if (file) std::filesystem::rename(part, path(sha256), error);
        if (!file || error) return fail(Errc::io, "cannot write {}", path(sha256));
        return {};
    }

    // What no zone uses any more.
    void forget_all_but(const Zones& zones) const {
        std::set<std::string> used;
        for (const auto& [name, sha256] : zones) used.insert(sha256);
        std::error_code error;
        for (const auto& entry : std::filesystem::directory_iterator(folder_, error)) {
            if (!used.contains(entry.path().filename().string())) std::filesystem::remove(entry.path(), error);
        }
    }

  private:
    std::string folder_;
};

std::string shown(const std::optional<Instant>& instant) { return instant ? format_instant(*instant) : std::string{"never"}; }

// One mail per recipient, of their own tasks.
std::int64_t queue_mails(soci::session& sql, const MailSettings& settings, const std::vector<ChangedTask>& tasks,
                         const std::string& heading, const std::string& key, Instant now) {
    std::map<std::string, std::vector<const ChangedTask*>> by_recipient;
    for (const ChangedTask& task : tasks) {
        auto recipients = find_recipients(sql, task.id, task.runtime, task.group);
        if (recipients.empty()) recipients = settings.fallback;
        for (auto& recipient : recipients) by_recipient[recipient].push_back(&task);
    }
    const auto at = settings.from.rfind('@');
    const std::string domain = at == std::string::npos ? "localhost" : settings.from.substr(at + 1);
    std::int64_t queued = 0;
    for (const auto& [recipient, theirs] : by_recipient) {
        std::string body = heading + "\n\nThese tasks fire at other times than before; the first such fire of each:\n\n";
        for (std::size_t i = 0; i < std::min(theirs.size(), kMostInMail); ++i) {
            const ChangedTask& task = *theirs[i];
            body += fmt::format("{}/{}/{} ({}): {}, before {}\n", task.runtime, task.group, task.name, task.zone, shown(task.after),
                                shown(task.before));
        }
        if (theirs.size() > kMostInMail) body += fmt::format("and {} more: cloudtask tzdata\n", theirs.size() - kMostInMail);
        body += "\nCenter and nodes go by the new rules once they are restarted.\n";
        NewMail mail;
        mail.unique_key = "tzdata:" + key + ":" + recipient;
        mail.recipients = {recipient};
        mail.subject = fmt::format("tzdata: {} tasks fire at other times", theirs.size());
        mail.body = std::move(body);
        mail.message_id = fmt::format("tzdata.{}@{}", sha256_hex(mail.unique_key).substr(0, 32), domain);
        if (queue_mail(sql, mail, now)) ++queued;
    }
    return queued;
}

void write_change(json::Writer& out, const json::Document& before, const std::string& version, const std::vector<std::string>& zones,
                  const std::vector<ChangedTask>& tasks, Instant now) {
    out.begin_object().member("noticed_at", now).member("from", text_of(before, "version")).member("to", version);
    out.member("zones", zones).member("task_count", static_cast<std::int64_t>(tasks.size())).key("tasks").begin_array();
    for (std::size_t i = 0; i < std::min(tasks.size(), kMostListed); ++i) {
        const ChangedTask& task = tasks[i];
        out.begin_object().member("task_id", task.id).member("runtime", task.runtime).member("group", task.group);
        out.member("name", task.name).member("zone", task.zone);
        out.key("before");
        task.before ? void(out.value(*task.before)) : void(out.null());
        out.key("after");
        task.after ? void(out.value(*task.after)) : void(out.null());
        out.end_object();
    }
    out.end_array().end_object();
}

}  // namespace

Result<TzdataOutcome> TzdataCheck::look(Instant now) {
    json::Document state;
    if (auto read = parts_.store.read([&](soci::session& sql) -> Result<> {
            state = read_state(sql);
            return {};
        });
        !read) {
        return propagate(read);
    }
    std::set<std::string> names;
    auto visited = visit_tasks(parts_.store, [&](const DefinitionRow&, const task::Task& task) {
        for (const auto& schedule : task.schedules) names.insert(schedule.zone());
    });
    if (!visited) return propagate(visited);

    const Zones known = zones_of(state);
    const Copies copies{parts_.folder};
    Zones current;
    std::vector<std::string> changed;
    for (const std::string& name : names) {
        const auto before = known.find(name);
        const auto content = task::read_zone_file(name);
        if (!content) {
            // Gone for a moment, or for good: nothing can be said of it, and its copy stays.
            if (before != known.end()) current.insert(*before);
            continue;
        }
        const std::string sha256 = sha256_hex(*content);
        if (auto kept = copies.keep(sha256, *content); !kept) return propagate(kept);
        current.emplace(name, sha256);
        if (before != known.end() && before->second != sha256) changed.push_back(name);
    }

    std::vector<ChangedTask> tasks;
    if (!changed.empty()) {
        visited = visit_tasks(parts_.store, [&](const DefinitionRow& row, const task::Task& task) {
            for (const auto& schedule : task.schedules) {
                const std::string& zone = schedule.zone();
                if (!schedule.enabled() || !std::binary_search(changed.begin(), changed.end(), zone)) continue;
                const auto before = task::by_zone_file(schedule, copies.path(known.at(zone)));
                const auto after = task::by_zone_file(schedule, copies.path(current.at(zone)));
                if (!before || !after) continue;
                const auto difference = first_difference(*before, *after, now);
                if (!difference) continue;
                tasks.push_back({row.id, row.runtime, row.group, row.name, zone, difference->first, difference->second});
                break;
            }
        });
        if (!visited) return propagate(visited);
        restart_needed_ = restart_needed_ || looked_;  // a process that has just begun has read what is there now
    }
    looked_ = true;

    const std::string version = task::tzdata_version();
    if (version != parts_.loaded) restart_needed_ = true;
    TzdataOutcome outcome{.changed = !changed.empty(), .tasks = static_cast<std::int64_t>(tasks.size())};
    json::Writer out;
    out.begin_object().member("version", version).member("loaded", parts_.loaded).member("restart_needed", restart_needed_);
    out.member("checked_at", now).key("zones").begin_object();
    for (const auto& [name, sha256] : current) out.member(name, sha256);
    out.end_object().key("change");
    if (!changed.empty()) {
        write_change(out, state, version, changed, tasks, now);
    } else if (const auto last = state.FindMember("change"); last != state.MemberEnd() && last->value.IsObject()) {
        out.raw(json::to_text(last->value));
    } else {
        out.null();
    }
    out.end_object();
    const std::string heading = fmt::format("The time zone database of the center's system has changed (version {}, before {}).", version,
                                            text_of(state, "version"));
    auto written = parts_.store.write([&](soci::session& sql) -> Result<> {
        put_meta(sql, kMetaKey, out.text());
        outcome.mails = queue_mails(sql, parts_.mail, tasks, heading, sha256_hex(out.text()).substr(0, 32), now);
        return {};
    });
    if (!written) return propagate(written);
    copies.forget_all_but(current);
    if (outcome.changed) {
        log::warn(
            "tzdata has changed: {} zones that tasks use have other rules, {} tasks fire at other times (cloudtask tzdata lists them); "
            "restart the center and the nodes, which go by the old rules until then",
            changed.size(), tasks.size());
    }
    return outcome;
}

Result<std::string> tzdata_json(Store& store) {
    json::Document state;
    if (auto read = store.read([&](soci::session& sql) -> Result<> {
            state = read_state(sql);
            return {};
        });
        !read) {
        return propagate(read);
    }
    const auto copy = [&](json::Writer& out, const char* name) {
        const auto found = state.FindMember(name);
        out.key(name);
        if (found == state.MemberEnd()) return void(out.null());
        out.raw(json::to_text(found->value));
    };
    json::Writer out;
    out.begin_object().member("version", task::tzdata_version());
    for (const char* name : {"loaded", "restart_needed", "checked_at"}) copy(out, name);
    out.key("zones").begin_array();
    for (const auto& [name, sha256] : zones_of(state)) out.value(name);
    out.end_array();
    copy(out, "change");
    out.end_object();
    return out.text();
}

}  // namespace cloudtask::center
