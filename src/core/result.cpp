// The core error category and the errors of system calls.
#include "cloudtask/core/result.h"

namespace cloudtask {

namespace {

class CoreCategory final : public std::error_category {
  public:
    const char* name() const noexcept override { return "cloudtask"; }
    std::string message(int code) const override {
        switch (static_cast<Errc>(code)) {
            case Errc::invalid_argument:
                return "invalid argument";
            case Errc::not_found:
                return "not found";
            case Errc::already_exists:
                return "already exists";
            case Errc::conflict:
                return "conflict";
            case Errc::stale_version:
                return "stale version";
            case Errc::unauthenticated:
                return "not authenticated";
            case Errc::permission_denied:
                return "permission denied";
            case Errc::too_large:
                return "too large";
            case Errc::unavailable:
                return "unavailable";
            case Errc::timeout:
                return "timed out";
            case Errc::cancelled:
                return "cancelled";
            case Errc::io:
                return "input/output error";
            case Errc::corrupt:
                return "corrupt data";
            case Errc::unsupported:
                return "unsupported";
            case Errc::internal:
                return "internal error";
        }
        return "unknown error";
    }
};

}  // namespace

const std::error_category& core_category() noexcept {
    static const CoreCategory category;
    return category;
}

std::error_code make_error_code(Errc code) noexcept { return {static_cast<int>(code), core_category()}; }

Error system_error(int error_number, std::string_view what) {
    const std::error_code code{error_number, std::generic_category()};
    return Error{code, fmt::format("{}: {}", what, code.message())};
}

}  // namespace cloudtask
