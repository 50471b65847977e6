// Path arithmetic and the limits of a write. Pure; any thread; knows no session.
#include "zk/checks.h"

#include <algorithm>

namespace cloudtask::zk {

Result<> check_path(std::string_view path) {
    if (path == "/") return {};
    if (path.empty() || path.front() != '/') return fail(Errc::bad_arguments, "the path '{}' does not begin with a slash", path);
    const bool control = std::any_of(path.begin(), path.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
    if (control) return fail(Errc::bad_arguments, "a path may not hold control characters");
    std::size_t begin = 1;
    while (true) {
        const std::size_t end = std::min(path.find('/', begin), path.size());
        const std::string_view part = path.substr(begin, end - begin);
        if (part.empty()) return fail(Errc::bad_arguments, "the path '{}' has an empty part", path);
        if (part == "." || part == "..") return fail(Errc::bad_arguments, "the path '{}' has a relative part", path);
        if (end == path.size()) return {};
        begin = end + 1;
    }
}

Result<> check_write(std::string_view path, std::string_view data) {
    if (auto valid = check_path(path); !valid) return valid;
    if (path == "/") return fail(Errc::bad_arguments, "the root cannot be written");
    if (data.size() > kMaxDataBytes) {
        return fail(Errc::too_large, "{} would hold {} bytes, more than the {} that a znode may", path, data.size(), kMaxDataBytes);
    }
    return {};
}

Result<> check_multi(const std::vector<Op>& ops) {
    if (ops.empty()) return fail(Errc::bad_arguments, "a multi without operations");
    std::size_t total = 0;
    for (const Op& op : ops) {
        const auto valid = op.kind == Op::Kind::check ? check_path(op.path) : check_write(op.path, op.data);
        if (!valid) return valid;
        total += op.data.size();
    }
    if (total > kMaxDataBytes) return fail(Errc::too_large, "a multi of {} bytes, more than {}", total, kMaxDataBytes);
    return {};
}

std::string describe(const Op& op) {
    switch (op.kind) {
        case Op::Kind::create:
            return "create " + op.path;
        case Op::Kind::set:
            return "set " + op.path;
        case Op::Kind::erase:
            return "erase " + op.path;
        case Op::Kind::check:
            return "check " + op.path;
    }
    return op.path;
}

std::string parent_of(std::string_view path) {
    const std::size_t slash = path.rfind('/');
    return slash == 0 || slash == std::string_view::npos ? "/" : std::string{path.substr(0, slash)};
}

std::string_view name_of(std::string_view path) { return path.substr(path.rfind('/') + 1); }

std::string join(std::string_view folder, std::string_view name) {
    std::string path{folder};
    if (path != "/") path += '/';
    return path.append(name);
}

}  // namespace cloudtask::zk
