// What the commands about one task share. One thread.
#include "cli/task_call.h"

#include <ostream>

#include "cli/resources.h"
#include "cloudtask/core/ids.h"

namespace cloudtask::cli {

Result<json::Document> named_task(Invocation& invocation) {
    auto center = invocation.center();
    if (!center) return propagate(center);
    return resolve(**center, *find_resource("task"), invocation.arguments().text("TASK"));
}

Result<std::string> named_task_id(Invocation& invocation) {
    const std::string reference = invocation.arguments().text("TASK");
    if (is_uuid(reference)) return reference;
    auto task = named_task(invocation);
    if (!task) return propagate(task);
    return text_member(*task, "id");
}

Result<json::Document> post_to_task(Invocation& invocation, const json::Value& task, const std::string& action, const std::string& body,
                                    std::int64_t version, const Query& query) {
    auto center = invocation.center();
    if (!center) return propagate(center);
    const Resource& resource = *find_resource("task");
    return (*center)->write({.method = "POST",
                             .path = path_of(resource, task) + "/" + action,
                             .body = body,
                             .doing = fmt::format("{} task {}", action, resource.name(task)),
                             .version = version,
                             .query = query});
}

std::vector<Option> piece_options() {
    return {{"shard", 0, "N", "only this shard of a sharded task, from 0 on"}, {"node", 0, "NAME", "only this node of a broadcast task"}};
}

Query piece_query(const Arguments& arguments) { return {{"shard", arguments.text("shard")}, {"node", arguments.text("node")}}; }

void print_item(Invocation& invocation, const json::Value& item, const std::string& sentence, const std::string& quiet) {
    if (invocation.quiet()) {
        invocation.out() << quiet << std::endl;
    } else if (invocation.format() == Format::json) {
        invocation.out() << pretty_json(item);
    } else if (invocation.format() == Format::yaml) {
        invocation.out() << to_yaml(item);
    } else {
        invocation.out() << sentence << std::endl;
    }
}

}  // namespace cloudtask::cli
