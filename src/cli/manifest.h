// Manifest: what `apply` is given: YAML (or JSON) documents that define runtimes, groups, calendars and tasks, read and checked as a whole
// before anything is sent. docs/apply.md describes the format.
//
// Reads files; never talks to the center. One thread.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cli/pack.h"
#include "cloudtask/core/json.h"

namespace cloudtask::cli {

enum class Kind { runtime, group, calendar, task };  // in the order in which they are applied
std::string_view to_string(Kind kind);

struct Definition {
    Kind kind = Kind::task;
    std::string file;
    int line = 1;
    std::string runtime, group, name;  // the natural key, as far as the kind has it
    std::string body;                  // normalised JSON without the fields that only the center writes
    std::optional<PackedProgram> program;
    std::set<std::string> calendars;  // that a task's schedules name
    bool says_enabled = false;        // a task that does not say it stays as it is at the center, enabled or not

    std::string key() const;  // "demo", "demo/reports", "demo/reports/daily"
};

struct Problem {
    std::string file;
    int line = 0;  // 0: of the file as a whole
    std::string text;
};

struct Manifest {
    std::vector<Definition> definitions;  // runtimes, then groups, then calendars, then tasks; else in the order of the files
    std::vector<Problem> problems;
};

// One file's name, its text, and the folder that package paths in it start from.
struct Source {
    std::string name;
    std::string text;
    std::filesystem::path folder;
};

// The YAML files that `path` means: itself, or for a folder its *.yaml and *.yml in the order of their names (not of folders below it).
Result<std::vector<std::filesystem::path>> manifest_files(const std::filesystem::path& path);

Manifest read_manifest(const std::vector<Source>& sources);

// A resource of the center as a Definition: for exporting it. An error if this program does not understand the resource (a newer center).
Result<Definition> read_resource(Kind kind, const json::Value& resource);
// Its body only: for comparing, and for `-o yaml`.
Result<std::string> normalised(Kind kind, const json::Value& resource);

}  // namespace cloudtask::cli
