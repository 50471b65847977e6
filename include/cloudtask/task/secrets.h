// Secrets as a task names them and as a run was given them: names and versions, never values. What they mean to a user is in
// docs/secrets.md; their JSON is in task/codec.h with the task's and the run's.
//
// Pure data: no I/O, no clock. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

namespace cloudtask::task {

// A value of so many bytes: a shorter one is found in any text, and could not be masked without spoiling what is printed.
inline constexpr std::size_t kShortestSecret = 8;
inline constexpr std::size_t kLongestSecret = 64 << 10;

// How a run gets a secret.
struct SecretUse {
    std::string secret;    // its name: of the task's group, else of its runtime
    bool as_file = false;  // the variable has the path of a file with the value; else the value itself
    friend bool operator==(const SecretUse&, const SecretUse&) = default;
};

// By the name of the variable.
using SecretUses = std::map<std::string, SecretUse>;

// Of the secrets that a run was given, by name. A version is the catalog's revision that brought the value: no two values share one.
using SecretVersions = std::map<std::string, std::int64_t>;

}  // namespace cloudtask::task
