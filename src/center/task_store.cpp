// The tables tasks, task_versions and deleted_tasks.
#include "center/task_store.h"

#include <algorithm>

#include "center/calendar_store.h"
#include "center/secret_store.h"
#include "center/sql.h"
#include "cloudtask/core/json.h"
#include "cloudtask/task/codec.h"
#include "cloudtask/task/mutex.h"
#include "cloudtask/task/task_secrets.h"

namespace cloudtask::center {

namespace {

constexpr const char* kTaskColumns = "id, name, updated_at, document, last_run_id, last_run_state, last_run_at, running";

struct TaskColumns {
    std::string id, name, document, last_run_id, last_run_state;
    long long updated_at = 0, last_run_at = 0, running = 0;
    soci::indicator has_last_run = soci::i_null, has_last_state = soci::i_null, has_last_at = soci::i_null;

    void bind(soci::statement& statement) {
        statement.exchange(soci::into(id));
        statement.exchange(soci::into(name));
        statement.exchange(soci::into(updated_at));
        statement.exchange(soci::into(document));
        statement.exchange(soci::into(last_run_id, has_last_run));
        statement.exchange(soci::into(last_run_state, has_last_state));
        statement.exchange(soci::into(last_run_at, has_last_at));
        statement.exchange(soci::into(running));
    }

    Result<StoredTask> take() const {
        StoredTask stored;
        const auto parsed = json::parse(document);
        if (!parsed) return fail(Errc::corrupt, "the stored task {} cannot be read: {}", id, parsed.error().message);
        auto read = task::read_task(*parsed);
        if (!read) return fail(Errc::corrupt, "the stored task {} cannot be read: {}", id, read.error().message);
        stored.document = document;
        stored.task = std::move(*read);
        stored.running = running;
        if (has_last_run == soci::i_ok && has_last_state == soci::i_ok) {
            stored.last_run = LastRun{last_run_id, last_run_state, {}};
            if (has_last_at == soci::i_ok) stored.last_run->at = from_db(last_run_at);
        }
        return stored;
    }
};

// One text for all tasks that the ring places alike.
std::string placement_text(const task::Task& task) {
    const std::string mutex = task::mutex_key(task);
    if (task.targets.empty() && task.labels.empty() && mutex.empty() && task.mode == task::Mode::single) return {};
    std::vector<std::string> targets = task.targets;
    std::sort(targets.begin(), targets.end());
    json::Writer out;
    out.begin_object().member("targets", targets).member("labels", task.labels);
    if (!mutex.empty()) out.member("mutex", mutex);
    if (task.mode == task::Mode::shards) out.member("shards", std::int64_t{task.shards});
    if (task.mode == task::Mode::broadcast) out.member("broadcast", true);
    return out.end_object().text();
}

void insert_version(soci::session& sql, const task::Task& task, const std::string& document, const VersionStamp& stamp) {
    const long long version = task.version, at = to_db(task.updated_at);
    sql << "INSERT INTO task_versions (task_id, version, document, created_at, created_by, note) VALUES (:id, :version, :document, :at, "
           ":by, :note)",
        soci::use(task.id), soci::use(version), soci::use(document), soci::use(at), soci::use(stamp.by), soci::use(stamp.note);
}

// "nightly*" is every name that begins so. Names are slugs, and '~' sorts behind all that a slug may hold.
void filter_name(PageQuery& page, const std::string& name) {
    if (name.empty() || name.back() != '*') {
        page.where("name = :f_name", "f_name", name);
        return;
    }
    const std::string prefix = name.substr(0, name.size() - 1);
    page.where("name >= :f_name", "f_name", prefix);
    page.where("name < :f_name_end", "f_name_end", prefix + "~");
}

constexpr std::size_t kMostTagsAsked = 8;

std::vector<std::string> tags_asked_for(const std::string& text) {
    std::vector<std::string> tags;
    for (std::size_t begin = 0, comma = 0; comma != std::string::npos; begin = comma + 1) {
        comma = text.find(',', begin);
        tags.push_back(text.substr(begin, comma - begin));
    }
    return tags;
}

void filter_tags(PageQuery& page, const std::string& text) {
    for (const std::string& tag : tags_asked_for(text)) {
        const std::string name = "f_tag" + std::to_string(page.parameters());
        const std::string column = tag.find('=') == std::string::npos ? "key" : "tag";
        page.where("EXISTS (SELECT 1 FROM task_tags AS g WHERE g.task_id = tasks.id AND g." + column + " = :" + name + ")", name, tag);
    }
}

void filter_tasks(PageQuery& page, const ListQuery& query, std::optional<bool> enabled) {
    if (const auto* runtime = query.filter("runtime")) page.where("runtime = :f_runtime", "f_runtime", *runtime);
    if (const auto* group = query.filter("group")) page.where("group_name = :f_group", "f_group", *group);
    if (const auto* name = query.filter("name")) filter_name(page, *name);
    if (const auto* tags = query.filter("tag")) filter_tags(page, *tags);
    if (enabled) page.where("enabled = :f_enabled", "f_enabled", *enabled ? 1LL : 0LL);
}

void insert_tags(soci::session& sql, const task::Task& task) {
    for (const auto& [key, value] : task.tags) {
        const std::string tag = key + "=" + value;
        sql << "INSERT INTO task_tags (task_id, key, tag) VALUES (:id, :key, :tag)", soci::use(task.id), soci::use(key), soci::use(tag);
    }
}

void erase_tags(soci::session& sql, const task::Task& task) { sql << "DELETE FROM task_tags WHERE task_id = :id", soci::use(task.id); }

}  // namespace

const ListSpec kTaskList{.id_column = "id",
                         .sort = {{"name", "name"}, {"created_at", "id"}, {"updated_at", "updated_at", true}},
                         .default_sort = "name",
                         .filters = {"runtime", "group", "name", "enabled", "tag"}};

TaskPlacement read_placement(const std::string& text) {
    TaskPlacement placement;
    if (text.empty()) return placement;
    Faults faults;
    const auto document = json::parse(text);
    if (!document) return placement;
    json::ObjectReader reader{*document, "", faults};
    reader.read("targets", placement.nodes.targets);
    reader.read("labels", placement.nodes.labels);
    std::string mutex;
    if (reader.read("mutex", mutex)) placement.nodes.mutex_point = ring::mutex_point(mutex);
    if (reader.read("shards", placement.shards)) placement.mode = task::Mode::shards;
    bool broadcast = false;
    if (reader.read("broadcast", broadcast) && broadcast) placement.mode = task::Mode::broadcast;
    return placement;
}

std::int64_t next_revision(soci::session& sql) { return take_revisions(sql, 1); }

std::int64_t take_revisions(soci::session& sql, std::int64_t count) {
    const long long most = count;
    sql << "INSERT INTO meta (key, value) VALUES ('revision', :count1) ON CONFLICT (key) DO UPDATE SET value = CAST(value AS INTEGER) + "
           ":count2",
        soci::use(most), soci::use(most);
    return catalog_revision(sql) - count + 1;
}

std::int64_t catalog_revision(soci::session& sql) {
    long long revision = 0;
    sql << "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'revision'", soci::into(revision);
    return revision;
}

Result<std::optional<StoredTask>> find_task(soci::session& sql, const std::string& id) {
    TaskColumns row;
    soci::statement statement(sql);
    row.bind(statement);
    statement.exchange(soci::use(id));
    statement.alloc();
    statement.prepare(std::string("SELECT ") + kTaskColumns + " FROM tasks WHERE id = :id");
    statement.define_and_bind();
    if (!statement.execute(true)) return std::optional<StoredTask>{};
    auto stored = row.take();
    if (!stored) return propagate(stored);
    stored->canary = find_canary(sql, id);
    return std::optional<StoredTask>{std::move(*stored)};
}

bool task_name_taken(soci::session& sql, const std::string& runtime, const std::string& group, const std::string& name,
                     const std::string& but_id) {
    int found = 0;
    sql << "SELECT 1 FROM tasks WHERE runtime = :runtime AND group_name = :group AND name = :name AND id <> :id", soci::use(runtime),
        soci::use(group), soci::use(name), soci::use(but_id), soci::into(found);
    return sql.got_data();
}

void insert_task(soci::session& sql, const task::Task& task, const std::string& group_id, const VersionStamp& stamp) {
    const std::string document = task::to_json(task), placement = placement_text(task), mutex = task::mutex_key(task);
    const int enabled = task.enabled ? 1 : 0, parameters = task.parameters ? 1 : 0;
    const long long version = task.version, revision = task.revision, created_at = to_db(task.created_at),
                    updated_at = to_db(task.updated_at);
    sql << "INSERT INTO tasks (id, runtime, group_id, group_name, name, enabled, package, placement, mutex, document, version, revision, "
           "created_at, updated_at, parameters) VALUES (:id, :runtime, :group_id, :group, :name, :enabled, :package, :placement, :mutex, "
           ":document, :version, :revision, :created, :updated, :parameters)",
        soci::use(task.id), soci::use(task.runtime), soci::use(group_id), soci::use(task.group), soci::use(task.name), soci::use(enabled),
        soci::use(task.package), soci::use(placement), soci::use(mutex), soci::use(document), soci::use(version), soci::use(revision),
        soci::use(created_at), soci::use(updated_at), soci::use(parameters);
    insert_version(sql, task, document, stamp);
    insert_tags(sql, task);
    if (!task.calendars.empty()) note_calendars(sql, task);
    if (task::names_secrets(task)) note_secrets(sql, task);
}

void update_task_row(soci::session& sql, const task::Task& task, const std::string& group_id, const VersionStamp& stamp) {
    const std::string document = task::to_json(task), placement = placement_text(task), mutex = task::mutex_key(task);
    const int enabled = task.enabled ? 1 : 0, parameters = task.parameters ? 1 : 0;
    const long long version = task.version, revision = task.revision, updated_at = to_db(task.updated_at);
    sql << "UPDATE tasks SET group_id = :group_id, group_name = :group, name = :name, enabled = :enabled, package = :package, "
           "placement = :placement, mutex = :mutex, document = :document, version = :version, revision = :revision, updated_at = :updated, "
           "parameters = :parameters WHERE id = :id",
        soci::use(group_id), soci::use(task.group), soci::use(task.name), soci::use(enabled), soci::use(task.package), soci::use(placement),
        soci::use(mutex), soci::use(document), soci::use(version), soci::use(revision), soci::use(updated_at), soci::use(parameters),
        soci::use(task.id);
    insert_version(sql, task, document, stamp);
    erase_tags(sql, task);
    insert_tags(sql, task);
    note_calendars(sql, task);
    note_secrets(sql, task);
}

void update_documents(soci::session& sql, const std::vector<task::Task>& tasks, const VersionStamp& stamp) {
    std::string id, document;
    long long version = 0, revision = 0, at = 0;
    soci::statement row = (sql.prepare << "UPDATE tasks SET document = :document, version = :version, revision = :revision, updated_at = "
                                          ":updated WHERE id = :id",
                           soci::use(document), soci::use(version), soci::use(revision), soci::use(at), soci::use(id));
    soci::statement of_version =
        (sql.prepare << "INSERT INTO task_versions (task_id, version, document, created_at, created_by, note) "
                        "VALUES (:id, :version, :document, :at, :by, :note)",
         soci::use(id), soci::use(version), soci::use(document), soci::use(at), soci::use(stamp.by), soci::use(stamp.note));
    for (const task::Task& task : tasks) {
        id = task.id;
        document = task::to_json(task);
        version = task.version;
        revision = task.revision;
        at = to_db(task.updated_at);
        row.execute(true);
        of_version.execute(true);
    }
}

std::vector<TaskDocument> tasks_with_parameters(soci::session& sql, const std::string& runtime, const std::string& group, int limit,
                                                const std::string& after) {
    std::vector<TaskDocument> found;
    TaskDocument row;
    soci::statement statement =
        (sql.prepare << "SELECT id, document FROM tasks WHERE parameters = 1 AND runtime = :runtime AND id > :after AND "
                        "(:group1 = '' OR group_name = :group2) ORDER BY id LIMIT :limit",
         soci::into(row.id), soci::into(row.document), soci::use(runtime, "runtime"), soci::use(after, "after"), soci::use(group, "group1"),
         soci::use(group, "group2"), soci::use(limit, "limit"));
    statement.execute();
    while (statement.fetch()) found.push_back(row);
    return found;
}

std::vector<std::string> tasks_of_group(soci::session& sql, const std::string& group_id, std::size_t limit) {
    std::vector<std::string> ids;
    std::string id;
    const auto most = static_cast<long long>(limit);
    soci::statement statement = (sql.prepare << "SELECT id FROM tasks WHERE group_id = :group ORDER BY id LIMIT :most", soci::into(id),
                                 soci::use(group_id), soci::use(most));
    statement.execute();
    while (statement.fetch()) ids.push_back(id);
    return ids;
}

std::optional<std::string> task_placed_apart(soci::session& sql, const task::Task& task) {
    const std::string placement = placement_text(task), mutex = task::mutex_key(task);
    std::string group, name;
    // Two ends of the index: a mutex may have thousands of tasks.
    for (const char* side : {"<", ">"}) {
        sql << "SELECT group_name, name FROM tasks WHERE runtime = :runtime AND mutex = :mutex AND mutex <> '' AND placement " << side
            << " :placement AND id <> :id LIMIT 1",
            soci::use(task.runtime), soci::use(mutex), soci::use(placement), soci::use(task.id), soci::into(group), soci::into(name);
        if (sql.got_data()) return fmt::format("{}/{}", group, name);
    }
    return std::nullopt;
}

void erase_task(soci::session& sql, const task::Task& task, std::int64_t revision, const std::string& by, Instant now) {
    const long long number = revision, at = to_db(now);
    erase_tags(sql, task);
    sql << "DELETE FROM tasks WHERE id = :id", soci::use(task.id);
    forget_calendars(sql, task.id);
    forget_secrets(sql, task.id);
    sql << "INSERT INTO deleted_tasks (task_id, runtime, revision, deleted_at, deleted_by) VALUES (:id, :runtime, :revision, :at, :by)",
        soci::use(task.id), soci::use(task.runtime), soci::use(number), soci::use(at), soci::use(by);
}

Result<std::string> list_tasks(soci::session& sql, const ListQuery& query, std::optional<bool> enabled, std::vector<StoredTask>& out) {
    PageQuery page(kTaskColumns, "tasks", query, kTaskList.id_column);
    filter_tasks(page, query, enabled);
    TaskColumns row;
    Result<> readable;
    auto next = page.run(
        sql, [&](soci::statement& statement) { row.bind(statement); },
        [&] {
            auto stored = row.take();
            if (stored) {
                out.push_back(std::move(*stored));
            } else if (readable) {
                readable = propagate(stored);
            }
            if (query.sort.column == "name") return ListQuery::Position{row.name, row.id};
            return ListQuery::Position{query.sort.integer ? std::to_string(row.updated_at) : "", row.id};
        });
    if (!readable) return propagate(readable);
    for (StoredTask& stored : out) stored.canary = find_canary(sql, stored.task.id);
    return next;
}

SelectedTasks select_tasks(soci::session& sql, const ListQuery& query, std::optional<bool> enabled) {
    PageQuery page("id, name", "tasks", query, kTaskList.id_column);
    filter_tasks(page, query, enabled);
    SelectedTasks selected;
    std::string id, name;
    selected.more = !page.run(
                             sql,
                             [&](soci::statement& statement) {
                                 statement.exchange(soci::into(id));
                                 statement.exchange(soci::into(name));
                             },
                             [&] {
                                 selected.ids.push_back(id);
                                 return ListQuery::Position{name, id};
                             })
                         .empty();
    return selected;
}

void check_tag_filter(const ListQuery& query, Faults& faults) {
    const std::string* text = query.filter("tag");
    if (text == nullptr) return;
    const auto tags = tags_asked_for(*text);
    const bool keyless = std::any_of(tags.begin(), tags.end(), [](const std::string& tag) { return tag.empty() || tag.front() == '='; });
    if (keyless || tags.size() > kMostTagsAsked) {
        faults.add("/tag", "does not name tags", fmt::format("up to {} of key or key=value, separated by commas", kMostTagsAsked));
    }
}

void visit_enabled_tasks(soci::session& sql, const std::string& runtime,
                         const std::function<void(const std::string& id, const TaskPlacement& placement)>& visit) {
    std::string id, placement;
    soci::statement statement = (sql.prepare << "SELECT id, placement FROM tasks WHERE runtime = :runtime AND enabled = 1",
                                 soci::use(runtime), soci::into(id), soci::into(placement));
    statement.execute(false);
    while (statement.fetch()) visit(id, read_placement(placement));
}

void visit_placed_tasks(soci::session& sql, const std::string& runtime, const std::function<void(const PlacedTask& task)>& visit) {
    PlacedTask task;
    std::string placement;
    soci::statement statement =
        (sql.prepare << "SELECT id, group_name, name, placement FROM tasks WHERE runtime = :runtime AND enabled = 1 ORDER BY id",
         soci::use(runtime), soci::into(task.id), soci::into(task.group), soci::into(task.name), soci::into(placement));
    statement.execute(false);
    while (statement.fetch()) {
        task.placement = read_placement(placement);
        visit(task);
    }
}

int visit_definitions(soci::session& sql, const std::string& runtime, const std::string& after, int limit,
                      const std::function<void(const DefinitionRow& row)>& visit) {
    DefinitionRow row;
    const std::string begin = after;  // `visit` may write what `after` refers to
    const std::string what = "SELECT id, runtime, group_name, name, version, document FROM tasks WHERE enabled = 1 AND id > :after";
    const std::string order = " ORDER BY id LIMIT :limit";
    long long version = 0;
    int rows = 0;
    soci::statement statement(sql);
    statement.exchange(soci::use(begin, "after"));
    statement.exchange(soci::use(limit, "limit"));
    if (!runtime.empty()) statement.exchange(soci::use(runtime, "runtime"));
    for (std::string* text : {&row.id, &row.runtime, &row.group, &row.name}) statement.exchange(soci::into(*text));
    statement.exchange(soci::into(version));
    statement.exchange(soci::into(row.document));
    statement.alloc();
    statement.prepare(what + (runtime.empty() ? "" : " AND runtime = :runtime") + order);
    statement.define_and_bind();
    statement.execute(false);
    for (; statement.fetch(); ++rows) {
        row.version = version;
        visit(row);
    }
    return rows;
}

}  // namespace cloudtask::center
