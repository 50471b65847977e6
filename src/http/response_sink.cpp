// ResponseSink: an answer's body, piece by piece, from cpprestsdk's threads.
#include "http/response_sink.h"

#include <exception>
#include <stdexcept>
#include <utility>

namespace cloudtask::http {

ResponseSink::ResponseSink() : streambuf_state_manager(std::ios_base::out) {}

pplx::task<std::size_t> ResponseSink::give(const std::uint8_t* bytes, std::size_t count) {
    try {
        return take_(bytes, count);
    } catch (...) {
        return pplx::task_from_exception<std::size_t>(std::current_exception());
    }
}

void ResponseSink::accept(Take take) {
    std::unique_ptr<Early> early;
    pplx::task<std::size_t> taken;
    {
        const std::lock_guard lock(mutex_);
        if (stopped_) return;
        take_ = std::move(take);
        early = std::move(early_);
        if (!early) return;
        taken = give(early->bytes, early->count);
    }
    taken.then([done = early->done](pplx::task<std::size_t> result) {
        try {
            done.set(result.get());
        } catch (...) {
            done.set_exception(std::current_exception());
        }
    });
}

void ResponseSink::stop() {
    std::unique_ptr<Early> early;
    {
        const std::lock_guard lock(mutex_);
        stopped_ = true;
        take_ = {};
        early = std::move(early_);
    }
    if (early) early->done.set_exception(std::make_exception_ptr(std::runtime_error("stopped")));
}

bool ResponseSink::acquire(std::uint8_t*& bytes, std::size_t& count) {
    bytes = nullptr;
    count = 0;
    return false;
}

pplx::task<ResponseSink::int_type> ResponseSink::_putc(std::uint8_t byte) {
    auto kept = std::make_shared<std::uint8_t>(byte);
    return _putn(kept.get(), 1).then([kept](std::size_t) { return static_cast<int_type>(*kept); });
}

pplx::task<std::size_t> ResponseSink::_putn(const std::uint8_t* bytes, std::size_t count) {
    const std::lock_guard lock(mutex_);
    if (stopped_) return pplx::task_from_exception<std::size_t>(std::runtime_error("stopped"));
    if (take_) return give(bytes, count);
    early_ = std::make_unique<Early>(Early{bytes, count, {}});
    return pplx::create_task(early_->done);
}

}  // namespace cloudtask::http
