// The error codes of the coordination module. Pure; any thread.
#include "cloudtask/zk/keeper.h"

namespace cloudtask::zk {

namespace {

class Category final : public std::error_category {
  public:
    const char* name() const noexcept override { return "zk"; }

    std::string message(int value) const override {
        switch (static_cast<Errc>(value)) {
            case Errc::no_node:
                return "no such znode";
            case Errc::node_exists:
                return "the znode exists already";
            case Errc::bad_version:
                return "the znode has another version";
            case Errc::not_empty:
                return "the znode has children";
            case Errc::no_children_for_ephemerals:
                return "an ephemeral znode can have no children";
            case Errc::connection_loss:
                return "contact with ZooKeeper was lost";
            case Errc::session_expired:
                return "the session has expired";
            case Errc::closing:
                return "the session is being closed";
            case Errc::auth_failed:
                return "ZooKeeper refused the authentication";
            case Errc::no_auth:
                return "not permitted by the znode's access list";
            case Errc::too_large:
                return "too large for a znode";
            case Errc::bad_arguments:
                return "bad arguments";
            case Errc::rolled_back:
                return "another operation of the same multi failed";
            case Errc::other:
                return "ZooKeeper failed";
        }
        return "unknown error";
    }
};

}  // namespace

const std::error_category& zk_category() noexcept {
    static const Category category;
    return category;
}

std::error_code make_error_code(Errc code) noexcept { return {static_cast<int>(code), zk_category()}; }

bool is_ambiguous(const Error& error) { return error.is(Errc::connection_loss) || error.is(Errc::closing); }

}  // namespace cloudtask::zk
