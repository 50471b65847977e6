// The rules of packages.
#include "center/packages.h"

#include "center/audit_store.h"
#include "center/package_store.h"
#include "cloudtask/archive/archive.h"
#include "cloudtask/task/codec.h"

namespace cloudtask::center {

std::string filename_problem(std::string_view filename) {
    if (filename.empty() || filename.size() > 255) return "must have 1 to 255 characters";
    if (filename == "." || filename == ".." || filename.find('/') != std::string_view::npos)
        return "must be a file's name without a folder";
    for (const char c : filename) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return "must not hold control characters";
    }
    return {};
}

Result<std::string> check_upload(const PackageUpload& upload, const std::string& filename) {
    const auto summary = archive::inspect(upload.path(), filename);
    if (!summary) return propagate(summary);
    return std::string{archive::to_string(summary->format)};
}

Result<AcceptedPackage> accept_package(WriteScope& scope, PackageFiles& files, PackageUpload& upload, task::Package package) {
    if (auto known = find_package(scope.sql, package.sha256)) return AcceptedPackage{std::move(*known), false};
    // The row first, the file before the commit: what fails in between leaves a file without a row, which the next start removes.
    package.uploaded_by = scope.principal.name;
    package.created_at = scope.now;
    insert_package(scope.sql, package);
    write_audit(scope, "package.create", "package:" + package.sha256, {}, package_json(package));
    if (auto kept = files.keep(upload, package.sha256); !kept) return propagate(kept);
    return AcceptedPackage{std::move(package), true};
}

Result<> delete_package(WriteScope& scope, const std::string& sha256) {
    const auto package = find_package(scope.sql, sha256);
    if (!package) return fail(Errc::not_found, "there is no package {}", sha256);
    if (const auto user = task_that_uses(scope.sql, sha256); !user.empty()) {
        return fail(Errc::conflict, "the package is used by the task {}", user);
    }
    erase_package(scope.sql, sha256);
    write_audit(scope, "package.delete", "package:" + sha256, package_json(*package), {});
    return {};
}

std::string package_json(const task::Package& package) { return task::to_json(package); }

}  // namespace cloudtask::center
