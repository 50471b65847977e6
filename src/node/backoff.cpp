// Waiting before another try: see backoff.h.
#include "node/backoff.h"

#include <algorithm>
#include <utility>

#include "cloudtask/core/log.h"
#include "cloudtask/core/units.h"

namespace cloudtask::node {

Backoff::Backoff(Random& random, Duration first, Duration longest) : random_(random), first_(first), longest_(longest), step_(first) {}

Duration Backoff::next() {
    const Duration half = step_ / 2;
    const Duration wait = half + Duration{static_cast<Duration::rep>(random_.below(static_cast<std::uint64_t>(half.count()) + 1))};
    step_ = std::min(step_ * 2, longest_);
    return wait;
}

Retry::Retry(Loop& loop, Random& random, std::string what) : loop_(loop), what_(std::move(what)), backoff_(random) {}

void Retry::failed(const Error& error, std::function<void()> again) {
    const Duration wait = backoff_.next();
    failing_ = true;
    log::warn("{}: {}; next try in {}", what_, error.message, format_duration(std::chrono::floor<std::chrono::milliseconds>(wait)));
    again_ = std::move(again);
    timer_ = loop_.after(wait, [this] { hurry(); });
}

void Retry::hurry() {
    timer_.cancel();
    if (const auto again = std::exchange(again_, nullptr)) again();
}

void Retry::cancel() {
    timer_.cancel();
    again_ = nullptr;
}

void Retry::succeeded() {
    backoff_.reset();
    cancel();
    if (std::exchange(failing_, false)) log::info("{}: works again", what_);
}

}  // namespace cloudtask::node
