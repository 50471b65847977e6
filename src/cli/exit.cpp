// Exit codes as an error category. Pure.
#include "cli/exit.h"

namespace cloudtask::cli {

namespace {

class ExitCategory final : public std::error_category {
  public:
    const char* name() const noexcept override { return "cloudtask.exit"; }
    std::string message(int value) const override {
        switch (static_cast<Exit>(value)) {
            case Exit::ok:
                return "success";
            case Exit::failed:
                return "failed";
            case Exit::usage:
                return "wrong usage";
            case Exit::unreachable:
                return "the center cannot be reached";
            case Exit::denied:
                return "not logged in or not allowed";
            case Exit::not_found:
                return "not found";
            case Exit::conflict:
                return "conflict";
        }
        return "unknown exit code";
    }
};

}  // namespace

const std::error_category& exit_category() noexcept {
    static const ExitCategory category;
    return category;
}

std::error_code make_error_code(Exit code) noexcept { return {static_cast<int>(code), exit_category()}; }

Exit exit_for(const Error& error) {
    if (error.code.category() == exit_category()) return static_cast<Exit>(error.code.value());
    if (error.is(Errc::unavailable) || error.is(Errc::timeout)) return Exit::unreachable;
    if (error.is(Errc::unauthenticated) || error.is(Errc::permission_denied)) return Exit::denied;
    if (error.is(Errc::not_found)) return Exit::not_found;
    if (error.is(Errc::already_exists) || error.is(Errc::conflict) || error.is(Errc::stale_version)) return Exit::conflict;
    return Exit::failed;
}

}  // namespace cloudtask::cli
