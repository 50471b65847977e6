// spdlog's default logger, set up for this process.
#include "cloudtask/core/log.h"

#include <spdlog/sinks/stdout_sinks.h>

namespace cloudtask::log {

Result<> init(std::string_view process, std::string_view level) {
    spdlog::level::level_enum parsed{};
    if (level == "debug") {
        parsed = spdlog::level::debug;
    } else if (level == "info") {
        parsed = spdlog::level::info;
    } else if (level == "warn") {
        parsed = spdlog::level::warn;
    } else if (level == "error") {
        parsed = spdlog::level::err;
    } else {
        return fail(Errc::invalid_argument, "'{}' is not a log level: debug, info, warn or error", level);
    }
    auto logger = std::make_shared<spdlog::logger>(std::string{process}, std::make_shared<spdlog::sinks::stderr_sink_mt>());
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%fZ %n %l: %v", spdlog::pattern_time_type::utc);
    logger->set_level(parsed);
    logger->flush_on(spdlog::level::info);
    spdlog::set_default_logger(std::move(logger));
    return {};
}

}  // namespace cloudtask::log
