// Conversions from and to ZooKeeper's C client: see zookeeper_c.h. Any thread.
#include "zk/zookeeper_c.h"

#include <mutex>

#include "cloudtask/core/log.h"

namespace cloudtask::zk {

Error error_of(int rc, std::string_view what) {
    Errc code = Errc::other;
    switch (rc) {
        case ZNONODE:
            code = Errc::no_node;
            break;
        case ZNODEEXISTS:
            code = Errc::node_exists;
            break;
        case ZBADVERSION:
            code = Errc::bad_version;
            break;
        case ZNOTEMPTY:
            code = Errc::not_empty;
            break;
        case ZNOCHILDRENFOREPHEMERALS:
            code = Errc::no_children_for_ephemerals;
            break;
        // A time-out of the client is as ambiguous as a lost connection; the others say that this connection could not carry the call.
        case ZOPERATIONTIMEOUT:
        case ZCONNECTIONLOSS:
        case ZSESSIONMOVED:
        case ZTHROTTLEDOP:
        case ZCLOSING:
        case ZINVALIDSTATE:
            code = Errc::connection_loss;
            break;
        case ZSESSIONEXPIRED:
            code = Errc::session_expired;
            break;
        case ZAUTHFAILED:
            code = Errc::auth_failed;
            break;
        case ZNOAUTH:
        case ZINVALIDACL:
            code = Errc::no_auth;
            break;
        case ZBADARGUMENTS:
            code = Errc::bad_arguments;
            break;
        case ZRUNTIMEINCONSISTENCY:
            code = Errc::rolled_back;
            break;
        default:
            break;
    }
    return Error{code, fmt::format("{}: {}", what, zerror(rc))};
}

zk::Stat stat_of(const ::Stat& from) {
    zk::Stat stat;
    stat.czxid = from.czxid;
    stat.mzxid = from.mzxid;
    stat.ctime = Instant{std::chrono::milliseconds{from.ctime}};
    stat.mtime = Instant{std::chrono::milliseconds{from.mtime}};
    stat.version = from.version;
    stat.cversion = from.cversion;
    stat.ephemeral_owner = from.ephemeralOwner;
    stat.data_length = from.dataLength;
    stat.num_children = from.numChildren;
    return stat;
}

int flags_of(CreateMode mode) {
    switch (mode) {
        case CreateMode::persistent:
            return ZOO_PERSISTENT;
        case CreateMode::ephemeral:
            return ZOO_EPHEMERAL;
        case CreateMode::persistent_sequential:
            return ZOO_PERSISTENT_SEQUENTIAL;
        case CreateMode::ephemeral_sequential:
            return ZOO_EPHEMERAL_SEQUENTIAL;
    }
    return ZOO_PERSISTENT;
}

void log_from_library(const char* message) { log::debug("zookeeper client: {}", message); }

void quiet_library() {
    static std::once_flag once;
    std::call_once(once, [] { zoo_set_debug_level(ZOO_LOG_LEVEL_WARN); });
}

}  // namespace cloudtask::zk
