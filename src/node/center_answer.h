// What an answer of the center means to a node: good, worth another try, or refused, and why. Pure; any thread.
#pragma once

#include "cloudtask/core/result.h"
#include "cloudtask/http/message.h"

namespace cloudtask::node {

// A 2xx answer, or an Error whose sentence is the center's own where it gave one: unavailable (no answer, 5xx, 408, 429), unauthenticated
// (401), permission_denied, not_found, conflict, too_large, else invalid_argument. Errors of the client other than timeout stay as they
// are.
Result<http::Response> judge(Result<http::Response> answer);

// As judge(), for requests with the node's own token: a 401 says what to do about it.
Result<http::Response> judge_for_node(Result<http::Response> answer);

}  // namespace cloudtask::node
