// JSON over RapidJSON: bounded parsing of outside input, reading with all faults collected, and writing.
//
// parse() uses the iterative parser (the recursive one overflows the stack on 200,000 '[') and bounds depth and size.
// Thread safety: value types.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <rapidjson/document.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include "cloudtask/core/clock.h"
#include "cloudtask/core/faults.h"
#include "cloudtask/core/result.h"

namespace cloudtask::json {

using Document = rapidjson::Document;
using Value = rapidjson::Value;

struct Limits {
    std::size_t max_bytes = 1 << 20;
    std::size_t max_depth = 32;
};

// Reads one JSON text (RFC 8259; UTF-8 is validated; duplicate member names are an error). The sentence of an error names the byte offset.
Result<Document> parse(std::string_view text, Limits limits = {});

std::string to_text(const Value& value);

struct TextRule {
    std::size_t min = 0;
    std::size_t max = 1024;   // bytes of UTF-8
    bool multi_line = false;  // control characters other than newline and tab are always refused
};
struct IntegerRule {
    std::int64_t min = 0;
    std::int64_t max = INT64_MAX;
};
struct DurationRule {
    Duration min = Duration::zero();
    Duration max = std::chrono::hours{24 * 366};
};
struct SizeRule {
    std::uint64_t min = 0;
    std::uint64_t max = UINT64_MAX;
};
struct ListRule {
    std::size_t min = 0;
    std::size_t max = 100;
    TextRule item = {};
};

// Reads the members of one JSON object. Each read() leaves `out` as it was when the member is absent or faulty, and returns true only
// when it was read; every fault goes to `faults` with its pointer. finish() reports members that nobody asked for.
class ObjectReader {
  public:
    // A `value` that is not an object is itself a fault; all members then count as absent.
    ObjectReader(const Value& value, std::string pointer, Faults& faults);

    bool has(std::string_view name) const;
    // Adds a fault if the member is absent or null. Returns has(name).
    bool require(std::string_view name);

    bool read(std::string_view name, std::string& out, TextRule rule = {});
    bool read(std::string_view name, bool& out);
    bool read(std::string_view name, std::int64_t& out, IntegerRule rule = {});
    bool read(std::string_view name, std::vector<std::string>& out, ListRule rule = {});
    bool read(std::string_view name, std::map<std::string, std::string>& out, ListRule rule = {});
    bool read_duration(std::string_view name, Duration& out, DurationRule rule = {});  // "30s"
    bool read_size(std::string_view name, std::uint64_t& out, SizeRule rule = {});     // "64MiB"
    bool read_instant(std::string_view name, Instant& out);                            // RFC 3339
    // One of `allowed`; the fault lists them.
    bool read_choice(std::string_view name, std::string& out, const std::vector<std::string_view>& allowed);

    // The member itself if it is an object (array); else null, with a fault if it is something else.
    const Value* object(std::string_view name);
    const Value* array(std::string_view name, ListRule rule = {});
    // The member whatever its type; null if absent.
    const Value* any(std::string_view name);

    // Declares a member as known without reading it (fields that only the server writes).
    void ignore(std::string_view name);

    void finish();

    std::string pointer(std::string_view name) const { return pointer_to(pointer_, name); }
    Faults& faults() { return faults_; }

  private:
    const Value* find(std::string_view name);

    const Value* object_ = nullptr;
    std::string pointer_;
    Faults& faults_;
    std::vector<std::string> known_;
};

// Writes one JSON text. Members are written in the order of the calls.
class Writer {
  public:
    Writer() : writer_(buffer_) {}

    Writer& begin_object();
    Writer& end_object();
    Writer& begin_array();
    Writer& end_array();
    Writer& key(std::string_view name);

    Writer& value(std::string_view text);
    Writer& value(const char* text) { return value(std::string_view{text}); }
    Writer& value(bool flag);
    Writer& value(std::int64_t number);
    Writer& value(std::uint64_t number);
    Writer& value(int number) { return value(static_cast<std::int64_t>(number)); }
    Writer& value(double number);
    Writer& value(Instant instant);  // RFC 3339
    Writer& value(const Value& value);
    Writer& null();
    // Text that is JSON already.
    Writer& raw(std::string_view json);

    template <class T>
    Writer& member(std::string_view name, const T& v) {
        key(name);
        return value(v);
    }
    // Writes nothing for an empty optional.
    template <class T>
    Writer& member(std::string_view name, const std::optional<T>& v) {
        if (v) member(name, *v);
        return *this;
    }
    Writer& member(std::string_view name, const std::vector<std::string>& list);
    Writer& member(std::string_view name, const std::map<std::string, std::string>& map);

    std::string text() const { return {buffer_.GetString(), buffer_.GetSize()}; }

  private:
    rapidjson::StringBuffer buffer_;
    rapidjson::Writer<rapidjson::StringBuffer> writer_;
};

}  // namespace cloudtask::json
