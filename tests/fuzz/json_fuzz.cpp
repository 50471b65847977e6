// Fuzzing the JSON reader: any bytes are a document or an error, and what is written of a document reads back as the same text.
#include "tests/fuzz/target.h"

#include "cloudtask/core/json.h"

using namespace cloudtask;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto document = json::parse({reinterpret_cast<const char*>(data), size});
    if (!document) return 0;
    const std::string text = json::to_text(*document);
    const auto again = json::parse(text);
    fuzz::require(again.has_value(), "what is written reads back");
    fuzz::require(json::to_text(*again) == text, "and is written the same");
    return 0;
}
