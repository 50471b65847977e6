// Packages as files. Blocking; one thread.
#include "cli/package_folder.h"

#include "cli/exit.h"

namespace cloudtask::cli {

namespace fs = std::filesystem;

namespace {

constexpr Duration kDownloadTime = std::chrono::hours{1};

}  // namespace

Result<bool> save_package(Center& center, const std::string& sha256, const fs::path& folder) {
    const auto held = find_package_file(folder, sha256);
    if (!held) return propagate(held);
    if (*held) return false;
    const auto package = center.get("/packages/" + sha256, "package " + sha256);
    if (!package) return propagate(package);
    // What the center says is no path to anywhere else.
    const fs::path name = fs::path(text_member(*package, "filename")).filename();
    if (name.empty() || name == "." || name == "..") return fail(Exit::failed, "package {} has no file name", sha256);
    std::error_code failed;
    fs::create_directories(folder / sha256, failed);
    if (failed) return fail(Exit::failed, "cannot make the folder {}: {}", (folder / sha256).string(), failed.message());
    // A broken download leaves no file that counts.
    const fs::path part = folder / (sha256 + ".part");
    http::ClientRequest request = make_request("GET", target("/packages/" + sha256 + "/content"));
    request.save_to = part.string();
    request.timeout = kDownloadTime;
    const auto response = center.api().call(std::move(request));
    if (!response) return tl::unexpected(center.no_answer(response.error()));
    if (response->status >= 400) return tl::unexpected(center.refusal(*response, "download package " + sha256));
    fs::rename(part, folder / sha256 / name, failed);
    if (failed) return fail(Exit::failed, "cannot store package {}: {}", sha256, failed.message());
    return true;
}

Result<std::optional<PackedProgram>> find_package_file(const fs::path& folder, const std::string& sha256) {
    std::error_code failed;
    if (!fs::exists(folder / sha256, failed)) return std::optional<PackedProgram>{};
    for (fs::directory_iterator it(folder / sha256, failed), end; !failed && it != end; it.increment(failed)) {
        if (!it->is_regular_file()) continue;
        PackedProgram program;
        program.file = it->path();
        program.filename = it->path().filename().string();
        program.sha256 = sha256;
        program.size = it->file_size(failed);
        if (!failed) return std::optional(std::move(program));
    }
    if (failed) return fail(Exit::failed, "cannot read {}: {}", (folder / sha256).string(), failed.message());
    return std::optional<PackedProgram>{};
}

}  // namespace cloudtask::cli
