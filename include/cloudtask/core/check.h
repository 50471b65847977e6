// CLOUDTASK_CHECK(condition, sentence): stops the process when an invariant is broken. For states that no input can cause.
// Recovery at start is the normal, tested path, so stopping is safer than going on with a broken invariant.
#pragma once

namespace cloudtask {

[[noreturn]] void check_failed(const char* file, int line, const char* condition, const char* sentence) noexcept;

}  // namespace cloudtask

#define CLOUDTASK_CHECK(condition, sentence) \
    ((condition) ? static_cast<void>(0) : ::cloudtask::check_failed(__FILE__, __LINE__, #condition, sentence))
