// Checks that the JSON of several value types share. Each adds its faults with their pointers. Pure; any thread.
//
// The length and type of a member are core/json.h's business; these are the rules of the domain on top.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cloudtask/core/json.h"

namespace cloudtask::task {

inline constexpr std::string_view kAllowedSlug = "1 to 63 characters of a-z, 0-9 and '-', beginning with a letter or digit";
inline constexpr json::TextRule kDescriptionRule{.min = 0, .max = 4096, .multi_line = true};

// A plausible mail address: one '@' between a name and a domain, and nothing in it that could end or add a header or a recipient.
bool is_mail_address(std::string_view text);

// A required slug.
void read_slug(json::ObjectReader& reader, std::string_view name, std::string& out);
// A required UUID.
void read_uuid(json::ObjectReader& reader, std::string_view name, std::string& out);
// Optional lists without repetition: at most 100 mail addresses; at most 100 node names.
void read_notify(json::ObjectReader& reader, std::vector<std::string>& out);
void read_targets(json::ObjectReader& reader, std::vector<std::string>& out);
// Optional: at most 32 labels; the form of a key is that of a node's labels.
void read_labels(json::ObjectReader& reader, std::map<std::string, std::string>& out);
// Optional: at most 32 tags. Their keys have the form of a label's; their values have no comma, which separates tags in a query.
void read_tags(json::ObjectReader& reader, std::map<std::string, std::string>& out);
// The name of a variable that a program may be given: none of CloudTask's own.
void check_variable(std::string_view name, const std::string& pointer, Faults& faults);
// Optional: at most 100 variables, none of them CloudTask's own.
void read_environment(json::ObjectReader& reader, std::map<std::string, std::string>& out);

// Counts the faults that are added while it lives.
class FaultCount {
  public:
    explicit FaultCount(const Faults& faults) : faults_(faults), before_(faults.list().size()) {}
    bool none_since() const { return faults_.list().size() == before_; }

  private:
    const Faults& faults_;
    std::size_t before_;
};

}  // namespace cloudtask::task
