// The files of the system's time zone database.
#include "cloudtask/task/tzdata.h"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>

#include "task/schedule_rule.h"

namespace cloudtask::task {

namespace {

constexpr std::string_view kVersionLine = "# version ";
constexpr std::size_t kLongestVersion = 32;

std::string first_line(const std::string& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

}  // namespace

std::string zoneinfo_folder() {
    const char* chosen = std::getenv("TZDIR");
    return chosen != nullptr && *chosen != '\0' ? chosen : "/usr/share/zoneinfo";
}

std::string tzdata_version() {
    const std::string folder = zoneinfo_folder();
    if (const std::string line = first_line(folder + "/tzdata.zi"); line.starts_with(kVersionLine)) {
        return line.substr(kVersionLine.size(), kLongestVersion);
    }
    return first_line(folder + "/+VERSION").substr(0, kLongestVersion);
}

std::optional<std::string> read_zone_file(std::string_view zone) {
    if (!Zone::is_name(zone)) return std::nullopt;
    std::ifstream file(zoneinfo_folder() + "/" + std::string{zone}, std::ios::binary);
    if (!file) return std::nullopt;
    std::string content{std::istreambuf_iterator<char>(file), {}};
    return content.starts_with("TZif") ? std::optional{std::move(content)} : std::nullopt;
}

std::optional<Schedule> by_zone_file(const Schedule& schedule, const std::string& path) {
    auto zone = Zone::load_file(schedule.zone(), path);
    if (!zone) return std::nullopt;
    Schedule::Rule rule = schedule.rule();
    rule.zone = *zone;
    return Schedule{std::make_shared<const Schedule::Rule>(std::move(rule))};
}

}  // namespace cloudtask::task
