// The cluster secret in the table meta: see cluster_secret_store.h.
#include "center/cluster_secret_store.h"

#include "center/auth.h"
#include "center/sql.h"

namespace cloudtask::center {

Result<std::string> cluster_secret(Store& store, Random& random) {
    std::string secret;
    const std::string made = make_token(random);
    const auto done = store.write([&](soci::session& sql) -> Result<> {
        sql << "INSERT INTO meta (key, value) VALUES ('cluster_secret', :value) ON CONFLICT (key) DO NOTHING", soci::use(made);
        sql << "SELECT value FROM meta WHERE key = 'cluster_secret'", soci::into(secret);
        return {};
    });
    if (!done) return propagate(done);
    return secret;
}

}  // namespace cloudtask::center
