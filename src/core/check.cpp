// Stops the process at a broken invariant, with what was expected on standard error.
#include "cloudtask/core/check.h"

#include <cstdio>
#include <cstdlib>

namespace cloudtask {

void check_failed(const char* file, int line, const char* condition, const char* sentence) noexcept {
    std::fprintf(stderr, "%s:%d: %s (broken: %s)\n", file, line, sentence, condition);
    std::abort();
}

}  // namespace cloudtask
