// Reading a page of the catalog: see catalog_page.h.
#include "node/catalog_page.h"

#include "cloudtask/core/log.h"
#include "cloudtask/task/codec.h"
#include "node/center_link.h"

namespace cloudtask::node {

namespace {

constexpr json::ListRule kAnyList{.min = 0, .max = 1'000'000, .item = {.min = 1, .max = 64}};

void read_task_into(CatalogChange& change, const json::Value& value) {
    auto task = task::read_task(value);
    if (task) {
        change.tasks.push_back(std::move(*task));
        return;
    }
    const auto id = value.IsObject() ? value.FindMember("id") : json::Value::ConstMemberIterator{};
    if (!value.IsObject() || id == value.MemberEnd() || !id->value.IsString()) {
        log::error("catalog: a task without an id is left out: {}", task.error().message);
        return;
    }
    change.deleted.emplace_back(id->value.GetString(), id->value.GetStringLength());
    log::error("catalog: task {} cannot be read by this version of the node and is not fired here: {}", change.deleted.back(),
               task.error().message);
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
    reader.read("more", page.more);
    reader.read("deleted", page.change.deleted, kAnyList);
    if (const json::Value* past = reader.object("past")) {
        json::ObjectReader item(*past, reader.pointer("past"), faults);
        item.read("epoch", page.change.past.epoch);
        item.read_instant("at", page.change.past.at);
    }
    const json::Value* tasks = reader.array("tasks", kAnyList);
    if (!faults.empty()) return fail(Errc::unavailable, "the center's answer cannot be read: {}", faults.summary());
    page.change.tasks.reserve(tasks->Size());
    for (const auto& value : tasks->GetArray()) read_task_into(page.change, value);
    return page;
}

}  // namespace cloudtask::node
