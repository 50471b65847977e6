// Principal: who makes a request, as its bearer token shows. A value type; any thread.
#pragma once

#include <string>

namespace cloudtask::center {

struct Principal {
    enum class Kind { anonymous, user, node, center };
    enum class Role { viewer, admin };

    Kind kind = Kind::anonymous;
    std::string id;  // of the user or the node; of the center, which part of it
    std::string name;
    Role role = Role::viewer;  // of a user
    std::string runtime;       // of a node
    std::string token_hash;    // of the bearer token, so that a session can be ended

    bool is_admin() const { return kind == Kind::user && role == Role::admin; }
    // As the audit and the idempotency keys name it: "user:<id>", "node:<id>", "center:<part>", "anonymous".
    std::string subject() const {
        switch (kind) {
            case Kind::user:
                return "user:" + id;
            case Kind::node:
                return "node:" + id;
            case Kind::center:
                return "center:" + id;
            case Kind::anonymous:
                break;
        }
        return "anonymous";
    }
};

}  // namespace cloudtask::center
