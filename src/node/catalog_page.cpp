// Reading a page of the catalog: see catalog_page.h.
#include "node/catalog_page.h"

#include "cloudtask/core/log.h"
#include "cloudtask/task/codec.h"
#include "cloudtask/task/networks.h"
#include "node/center_link.h"

namespace cloudtask::node {

namespace {

constexpr json::ListRule kAnyList{.min = 0, .max = 1'000'000, .item = {}};

std::string text_member(const json::Value& value, const char* name) {
    const auto member = value.IsObject() ? value.FindMember(name) : json::Value::ConstMemberIterator{};
    if (!value.IsObject() || member == value.MemberEnd() || !member->value.IsString()) return {};
    return {member->value.GetString(), member->value.GetStringLength()};
}

// `superseded`: a later version of the same task follows.
void read_task_into(CatalogChange& change, const json::Value& value, bool superseded) {
    auto task = task::read_task(value);
    if (task) {
        change.tasks.push_back(std::move(*task));
        return;
    }
    const std::string id = text_member(value, "id");
    if (id.empty()) {
        log::error("catalog: a task without an id is left out: {}", task.error().message);
    } else if (superseded) {
        log::warn("catalog: an earlier version of task {} cannot be read, and what it still owed is not accounted for: {}", id,
                  task.error().message);
    } else {
        change.deleted.push_back({id, parse_instant(text_member(value, "updated_at")).value_or(Instant{})});
        log::error("catalog: task {} cannot be read by this version of the node and is not fired here: {}", id, task.error().message);
    }
}

void read_deleted_into(CatalogChange& change, const json::Value& value, const std::string& pointer, Faults& faults) {
    json::ObjectReader reader(value, pointer, faults);
    DeletedTask deleted;
    reader.require("id");
    reader.require("at");
    reader.read("id", deleted.id, {.min = 1, .max = 64});
    reader.read_instant("at", deleted.at);
    change.deleted.push_back(std::move(deleted));
}

}  // namespace

Result<CatalogPage> read_catalog_page(std::string_view body) {
    const auto document = json::parse(body, {.max_bytes = kMaxCenterAnswer, .max_depth = 32});
    if (!document) return fail(Errc::unavailable, "the center's answer cannot be read: {}", document.error().message);
    CatalogPage page;
    Faults faults;
    json::ObjectReader reader(*document, "", faults);
    for (const auto* name : {"revision", "full", "tasks", "deleted", "more"}) reader.require(name);
    reader.read("revision", page.change.revision);
    reader.read("full", page.change.full);
    reader.read("secrets", page.secrets);
    reader.read("more", page.more);
    if (const json::Value* past = reader.object("past")) {
        json::ObjectReader item(*past, reader.pointer("past"), faults);
        item.read("epoch", page.change.past.epoch);
        item.read_instant("at", page.change.past.at);
    }
    if (const json::Value* http = reader.object("http")) {
        if (auto rules = task::read_network_rules(*http, reader.pointer("http"), faults)) {
            page.change.networks = std::make_shared<const task::NetworkRules>(std::move(*rules));
        }
    }
    const json::Value* tasks = reader.array("tasks", kAnyList);
    if (const json::Value* deleted = reader.array("deleted", kAnyList)) {
        for (rapidjson::SizeType i = 0; i < deleted->Size(); ++i) {
            read_deleted_into(page.change, (*deleted)[i], fmt::format("{}/{}", reader.pointer("deleted"), i), faults);
        }
    }
    if (!faults.empty()) return fail(Errc::unavailable, "the center's answer cannot be read: {}", faults.summary());
    page.change.tasks.reserve(tasks->Size());
    for (rapidjson::SizeType i = 0; i < tasks->Size(); ++i) {
        const json::Value& value = (*tasks)[i];
        const bool superseded = i + 1 < tasks->Size() && text_member((*tasks)[i + 1], "id") == text_member(value, "id");
        read_task_into(page.change, value, superseded);
    }
    return page;
}

}  // namespace cloudtask::node
