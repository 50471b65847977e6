// The audit trail: who changed what, with the document before and after, in the transaction of the change. Passwords and tokens are never
// in it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "center/api_routes.h"

namespace cloudtask::center {

// `action`: "task.create"; `subject`: "task:<id>"; documents as JSON. Throws SOCI's errors, which Store maps.
void write_audit(WriteScope& scope, std::string_view action, std::string_view subject, const std::optional<std::string>& before,
                 const std::optional<std::string>& after);

}  // namespace cloudtask::center
