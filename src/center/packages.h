// The rules of packages: what is accepted, when it becomes a package, when it may go. Worker threads.
#pragma once

#include <string>

#include "center/api_routes.h"
#include "center/package_files.h"
#include "cloudtask/task/types.h"

namespace cloudtask::center {

// Why a file name is not accepted; empty if it is: 1 to 255 bytes, no '/', no control characters, not "." or "..".
std::string filename_problem(std::string_view filename);

struct AcceptedPackage {
    task::Package package;
    bool is_new = false;
};

// Looks into a finished upload, before the transaction (an archive of 512 MiB takes a while). Returns its format. Errors: invalid_argument,
// too_large, io.
Result<std::string> check_upload(const PackageUpload& upload, const std::string& filename);

// Within a transaction, with PackageFiles::names() held: the file gets its name and its row, unless that content is there already.
Result<AcceptedPackage> accept_package(WriteScope& scope, PackageFiles& files, PackageUpload& upload, task::Package package);

// Within a transaction, with PackageFiles::names() held; the caller removes the file after the commit. Refused while a task uses it.
Result<> delete_package(WriteScope& scope, const std::string& sha256);

std::string package_json(const task::Package& package);

}  // namespace cloudtask::center
