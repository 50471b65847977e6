// The center's error category.
#include "center/errors.h"

#include <string>

namespace cloudtask::center {

namespace {

class Category final : public std::error_category {
  public:
    const char* name() const noexcept override { return "center"; }
    std::string message(int code) const override {
        switch (static_cast<CenterErrc>(code)) {
            case CenterErrc::precondition_required:
                return "precondition required";
            case CenterErrc::too_many_attempts:
                return "too many attempts";
        }
        return "unknown error of the center";
    }
};

}  // namespace

const std::error_category& center_category() noexcept {
    static const Category category;
    return category;
}

std::error_code make_error_code(CenterErrc code) noexcept { return {static_cast<int>(code), center_category()}; }

}  // namespace cloudtask::center
