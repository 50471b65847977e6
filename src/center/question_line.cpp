// One question at a time: see question_line.h.
#include "center/question_line.h"

#include <utility>

namespace cloudtask::center {

bool QuestionLine::enter(Job job) {
    if (waiting_.fetch_add(1) >= limits_.most_waiting) {
        --waiting_;
        return false;
    }
    worker_.submit([this, job = std::move(job), entered = clock_.steady_now()] {
        const SteadyInstant begun = clock_.steady_now();
        const auto over = [this, until = begun + limits_.longest_answer] { return closed_ || clock_.steady_now() >= until; };
        job({!closed_ && begun - entered <= limits_.longest_wait, over});
        --waiting_;
    });
    return true;
}

}  // namespace cloudtask::center
