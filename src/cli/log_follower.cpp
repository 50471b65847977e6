// Follows a run's log over server-sent events. One thread.
#include "cli/log_follower.h"

#include <algorithm>
#include <charconv>
#include <ostream>

#include "cli/exit.h"

namespace cloudtask::cli {

namespace {

constexpr Duration kFirstPause = std::chrono::milliseconds{200};
constexpr Duration kLongestPause = std::chrono::seconds{5};
constexpr Duration kStreamTime = std::chrono::hours{24};   // then the follower connects again
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

}  // namespace

LogFollower::LogFollower(Center& center, std::string run_id, std::string stream, std::uint64_t from, std::ostream& out)
    : center_(center), run_id_(std::move(run_id)), stream_(std::move(stream)), out_(out), from_(from) {}

Result<std::string> LogFollower::follow() {
    Duration pause = kFirstPause;
    Duration waited{};
    for (;;) {
        progress_ = false;
        to_skip_ = printed_;
        const Query query{{"stream", stream_}, {"from", std::to_string(from_)}, {"follow", "true"}};
        http::ClientRequest request = make_request("GET", target("/runs/" + http::encode_component(run_id_) + "/log", query));
        request.headers.set("Accept", "text/event-stream");
        request.timeout = kStreamTime;
        auto response = center_.api().follow(std::move(request), [this](const std::string& event, const std::string& data,
                                                                        const std::string& id) { return on_event(event, data, id); });
        if (ended_) return end_state_;
        if (!out_) return fail(Exit::failed, "cannot write the output");
        const bool answered = response.has_value();
        if (answered && response->status >= 400 && response->status < 500) {
            return tl::unexpected(center_.refusal(*response, "log of run " + run_id_));
        }
        if (!answered && exit_for(response.error()) != Exit::unreachable) return tl::unexpected(response.error());
        if (progress_) {
            pause = kFirstPause;
            waited = {};
        }
        if (waited >= kGiveUp) {
            if (answered && response->status >= 400) return tl::unexpected(center_.refusal(*response, "log of run " + run_id_));
            return tl::unexpected(
                center_.no_answer(answered ? Error{Errc::unavailable, "the log breaks off again and again"} : response.error()));
        }
        center_.api().wait(pause);
        waited += pause;
        pause = std::min(pause * 2, kLongestPause);
    }
}

bool LogFollower::on_event(const std::string& event, const std::string& data, const std::string& id) {
    progress_ = true;
    if (event == "log") on_log(data, id);
    if (event != "end") return static_cast<bool>(out_);
    ended_ = true;
    end_state_ = data;
    if (auto document = json::parse(data)) {
        if (document->IsString()) end_state_ = document->GetString();
        if (document->IsObject()) end_state_ = text_member(*document, "state");
    }
    return false;
}

void LogFollower::on_log(const std::string& data, const std::string& id) {
    auto document = json::parse(data);
    if (!document || !document->IsObject()) return;
    const std::string text = text_member(*document, "text");
    const auto begin = static_cast<std::uint64_t>(std::max<std::int64_t>(0, integer_member(*document, "offset")));

    const std::size_t skipped = std::min(to_skip_, text.size());
    to_skip_ -= skipped;
    out_ << std::string_view(text).substr(skipped) << std::flush;

    // An event id that is a number is the offset behind this piece.
    std::uint64_t end = 0;
    const auto read = std::from_chars(id.data(), id.data() + id.size(), end);
    const bool told = !id.empty() && read.ec == std::errc{} && read.ptr == id.data() + id.size();
    if (told || text.find(kReplacement) == std::string::npos) {
        from_ = told ? end : begin + text.size();
        printed_ = to_skip_;
    } else {
        from_ = begin;
        printed_ = text.size() + to_skip_;
    }
}

}  // namespace cloudtask::cli
