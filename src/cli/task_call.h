// What the commands about one task share: finding it, asking the center to do something with it, and printing what came back. One thread.
#pragma once

#include <string>
#include <vector>

#include "cli/center.h"
#include "cli/command.h"
#include "cli/invocation.h"

namespace cloudtask::cli {

// The task that the positional TASK names.
Result<json::Document> named_task(Invocation& invocation);
// Its id; an id is taken as it is, so that a task that was deleted can be asked about.
Result<std::string> named_task_id(Invocation& invocation);

// POST /tasks/<id>/<action>. `version`: goes into If-Match when it is not 0.
Result<json::Document> post_to_task(Invocation& invocation, const json::Value& task, const std::string& action,
                                    const std::string& body = "", std::int64_t version = 0, const Query& query = {});

// Which of a task's pieces are meant: the options shard and node, as the API takes them.
std::vector<Option> piece_options();
Query piece_query(const Arguments& arguments);

// The item as -o asks, or the sentence; with --quiet only `quiet`.
void print_item(Invocation& invocation, const json::Value& item, const std::string& sentence, const std::string& quiet);

}  // namespace cloudtask::cli
