// The table audit.
#include "center/audit_store.h"

#include "center/sql.h"

namespace cloudtask::center {

void write_audit(WriteScope& scope, std::string_view action, std::string_view subject, const std::optional<std::string>& before,
                 const std::optional<std::string>& after) {
    const long long at = to_db(scope.now);
    const std::string principal = scope.principal.subject(), action_text{action}, subject_text{subject};
    const std::string before_text = before.value_or(""), after_text = after.value_or("");
    // A document is never empty, so that '' can stand for none.
    scope.sql << "INSERT INTO audit (at, principal, remote_address, action, subject, before, after) "
                 "VALUES (:at, :principal, :address, :action, :subject, NULLIF(:before, ''), NULLIF(:after, ''))",
        soci::use(at), soci::use(principal), soci::use(scope.remote_address), soci::use(action_text), soci::use(subject_text),
        soci::use(before_text), soci::use(after_text);
}

}  // namespace cloudtask::center
