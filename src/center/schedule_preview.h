// The preview of schedules: POST /api/v1/schedules/preview. Thin: the fires are those of task/preview.h, the words those of
// task/schedule_words.h.
#pragma once

#include "center/api_routes.h"

namespace cloudtask::center {

Result<http::Response> preview_schedules(Call& call);

}  // namespace cloudtask::center
