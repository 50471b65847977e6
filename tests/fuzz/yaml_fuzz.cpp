// Fuzzing the YAML reader of the command line: any text is documents or an error with a line, and what was read can be written as YAML.
#include "tests/fuzz/target.h"

#include <algorithm>
#include <vector>

#include "cli/output.h"
#include "cli/yaml.h"

using namespace cloudtask;

namespace {

// A list at the top is a list of documents.
bool means_the_same(const std::vector<cli::YamlDocument>& documents, const json::Value& value) {
    if (documents.empty()) return value.IsNull() || (value.IsArray() && value.Empty());
    if (!value.IsArray()) return json::to_text(documents.front().value) == json::to_text(value);
    return std::equal(documents.begin(), documents.end(), value.Begin(), value.End(),
                      [](const auto& document, const auto& item) { return json::to_text(document.value) == json::to_text(item); });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > 16 * 1024) return 0;
    const auto documents = cli::read_yaml({reinterpret_cast<const char*>(data), size});
    if (!documents) {
        fuzz::require(documents.error().line >= 1 && !documents.error().problem.empty(), "an error says where and what");
        return 0;
    }
    for (const auto& document : *documents) {
        const std::string text = cli::to_yaml(document.value);
        const auto again = cli::read_yaml(text);
        fuzz::require(again.has_value(), "what is written as YAML reads back");
        fuzz::require(means_the_same(*again, document.value), "and means the same");
    }
    return 0;
}
