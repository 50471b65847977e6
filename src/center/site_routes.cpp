// The site: the files of the webroot, each a route of its own, so that no path from outside ever reaches the file system.
#include <algorithm>
#include <filesystem>
#include <map>

#include "center/api_routes.h"
#include "cloudtask/core/log.h"

namespace cloudtask::center {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostFiles = 1000;

std::string_view type_of(const std::string& extension) {
    static const std::map<std::string, std::string_view> types{
        {".html", "text/html; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
        {".ico", "image/x-icon"},
        {".json", "application/json"},
        {".txt", "text/plain; charset=utf-8"},
        {".woff2", "font/woff2"},
    };
    const auto found = types.find(extension);
    return found == types.end() ? "application/octet-stream" : found->second;
}

http::Response file_response(const std::string& path, std::string_view type) {
    http::Response response;
    response.headers.set("Content-Type", std::string{type});
    // Nothing but the site's own files runs or is asked: no inline script, no frame, no other host.
    response.headers.set("Content-Security-Policy",
                         "default-src 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'; form-action 'self'");
    response.headers.set("X-Content-Type-Options", "nosniff");
    response.headers.set("Referrer-Policy", "no-referrer");
    response.headers.set("Cache-Control", "no-cache");
    response.file = path;
    return response;
}

}  // namespace

void add_site_routes(RouteTable& table, const Context& context) {
    const fs::path root{context.options.webroot};
    if (root.empty()) return;
    std::error_code error;
    std::size_t files = 0;
    for (fs::recursive_directory_iterator entry(root, error), end; !error && entry != end; entry.increment(error)) {
        if (!entry->is_regular_file(error) || entry->is_symlink(error)) continue;
        if (++files > kMostFiles) {
            log::warn("the webroot {} has more than {} files; the rest is not served", root.string(), kMostFiles);
            break;
        }
        const std::string path = entry->path().string();
        const std::string url = "/" + fs::relative(entry->path(), root, error).generic_string();
        const auto serve = [path, type = type_of(entry->path().extension().string())](Call&) -> Result<http::Response> {
            return file_response(path, type);
        };
        table.add("GET", url, Access::anonymous, serve);
        if (url == "/index.html") table.add("GET", "/", Access::anonymous, serve);
    }
    if (files == 0) log::warn("there is no site: the webroot {} has no files", root.string());
}

}  // namespace cloudtask::center
