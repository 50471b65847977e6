// Router: method and path to handler. Pure; filled before the server starts and constant from then on.
#include <algorithm>

#include "cloudtask/core/check.h"
#include "cloudtask/http/server.h"

namespace cloudtask::http {
namespace {

std::vector<std::string> split(std::string_view path) {
    std::vector<std::string> segments;
    while (!path.empty()) {
        path.remove_prefix(1);
        const auto end = std::min(path.find('/'), path.size());
        segments.emplace_back(path.substr(0, end));
        path.remove_prefix(end);
    }
    return segments;
}

bool is_parameter(std::string_view segment) { return segment.size() > 2 && segment.front() == '{' && segment.back() == '}'; }
bool is_rest(std::string_view segment) { return is_parameter(segment) && segment[segment.size() - 2] == '*'; }

// How general a pattern's segment is; where two patterns fit, the one that is more exact at the first difference wins.
int generality(const std::string& segment) {
    if (is_rest(segment)) return 2;
    return is_parameter(segment) ? 1 : 0;
}

bool more_exact(const std::vector<std::string>& a, const std::vector<std::string>& b) {
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(),
                                        [](const auto& x, const auto& y) { return generality(x) < generality(y); });
}

bool fits(const std::vector<std::string>& pattern, const std::vector<std::string>& path, std::map<std::string, std::string>& params) {
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        const std::string& segment = pattern[i];
        if (is_rest(segment)) {
            std::string rest;
            for (std::size_t k = i; k < path.size(); ++k) rest += (k > i ? "/" : "") + path[k];
            params[segment.substr(1, segment.size() - 3)] = std::move(rest);
            return true;
        }
        if (i >= path.size()) return false;
        if (is_parameter(segment)) {
            if (path[i].empty()) return false;
            params[segment.substr(1, segment.size() - 2)] = path[i];
        } else if (segment != path[i]) {
            return false;
        }
    }
    return pattern.size() == path.size();
}

}  // namespace

void Router::add(std::string method, std::string pattern, Handler handler) {
    CLOUDTASK_CHECK(!pattern.empty() && pattern[0] == '/', "a route's pattern begins with a slash");
    auto segments = split(pattern);
    routes_.push_back({std::move(method), std::move(pattern), std::move(segments), std::move(handler)});
}

Router::Match Router::match(const std::string& method, const std::string& path) const {
    const auto segments = split(path);
    Match best;
    const Route* chosen = nullptr;
    std::vector<std::string> methods;
    const auto consider = [&](const std::string& wanted) {
        for (const Route& route : routes_) {
            if (route.method != wanted || (chosen != nullptr && !more_exact(route.segments, chosen->segments))) continue;
            std::map<std::string, std::string> params;
            if (!fits(route.segments, segments, params)) continue;
            chosen = &route;
            best.params = std::move(params);
        }
    };
    consider(method);
    // RFC 9110, section 9.3.2: HEAD is GET without the body; the connection leaves the body away.
    if (chosen == nullptr && method == "HEAD") consider("GET");
    if (chosen != nullptr) {
        best.handler = &chosen->handler;
        best.pattern = chosen->pattern;
        return best;
    }
    for (const Route& route : routes_) {
        std::map<std::string, std::string> params;
        if (!fits(route.segments, segments, params)) continue;
        methods.push_back(route.method);
        if (route.method == "GET") methods.emplace_back("HEAD");
    }
    std::sort(methods.begin(), methods.end());
    methods.erase(std::unique(methods.begin(), methods.end()), methods.end());
    for (const std::string& name : methods) best.allow += (best.allow.empty() ? "" : ", ") + name;
    return best;
}

std::vector<std::string> Router::routes() const {
    std::vector<std::string> out;
    out.reserve(routes_.size());
    for (const Route& route : routes_) out.push_back(route.method + " " + route.pattern);
    return out;
}

}  // namespace cloudtask::http
