// JSON parsing with bounds, and writing.
#include "cloudtask/core/json.h"

#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

namespace cloudtask::json {

namespace {

// Numbers as texts: of some with many digits RapidJSON 1.1 reads beyond a table of its own.
constexpr unsigned kParseFlags =
    rapidjson::kParseIterativeFlag | rapidjson::kParseValidateEncodingFlag | rapidjson::kParseNumbersAsStringsFlag;

// Stands between the reader and the document: refuses what is too deep, and duplicate member names, while it is read.
class Guard : public rapidjson::BaseReaderHandler<rapidjson::UTF8<>, Guard> {
  public:
    Guard(Document& document, std::size_t max_depth) : document_(document), max_depth_(max_depth) {}

    bool Null() { return document_.Null(); }
    bool Bool(bool b) { return document_.Bool(b); }
    // Whole numbers as such if they fit, else the nearest double. `s` ends with a NUL.
    bool RawNumber(const char* s, rapidjson::SizeType n, bool) {
        const char* const end = s + n;
        std::int64_t whole = 0;
        if (const auto read = std::from_chars(s, end, whole); read.ec == std::errc{} && read.ptr == end) return document_.Int64(whole);
        std::uint64_t big = 0;
        if (const auto read = std::from_chars(s, end, big); read.ec == std::errc{} && read.ptr == end) return document_.Uint64(big);
        double real = 0;
        // Out of range is what is too large, and what is too small, which is 0.
        if (std::from_chars(s, end, real).ec != std::errc{}) real = std::strtod(s, nullptr);
        if (!std::isfinite(real)) problem = "a number is too large";
        return std::isfinite(real) && document_.Double(real);
    }
    bool String(const char* s, rapidjson::SizeType n, bool copy) { return is_text({s, n}) && document_.String(s, n, copy); }
    bool StartObject() { return enter() && document_.StartObject(); }
    bool Key(const char* s, rapidjson::SizeType n, bool copy) {
        if (!is_text({s, n})) return false;
        names_.emplace_back(s, n);
        return document_.Key(s, n, copy);
    }
    bool EndObject(rapidjson::SizeType n) { return names_differ() && leave() && document_.EndObject(n); }
    bool StartArray() { return enter() && document_.StartArray(); }
    bool EndArray(rapidjson::SizeType n) { return leave() && document_.EndArray(n); }

    std::string problem;

  private:
    // RapidJSON lets an escaped low surrogate without its high one through, as three bytes that are not UTF-8.
    bool is_text(std::string_view text) {
        for (auto at = text.find('\xed'); at != std::string_view::npos; at = text.find('\xed', at + 1)) {
            if (static_cast<unsigned char>(text[at + 1]) < 0xa0) continue;
            problem = "half of a surrogate pair stands alone in a text";
            return false;
        }
        return true;
    }
    // Of the object that ends.
    bool names_differ() {
        const auto begin = names_.begin() + static_cast<std::ptrdiff_t>(opened_.back());
        std::sort(begin, names_.end());
        const auto twice = std::adjacent_find(begin, names_.end());
        if (twice == names_.end()) return true;
        problem = fmt::format("the member '{}' stands there twice", std::string_view{*twice}.substr(0, 64));
        return false;
    }
    bool enter() {
        if (opened_.size() == max_depth_) {
            problem = fmt::format("it is nested deeper than {} levels", max_depth_);
            return false;
        }
        opened_.push_back(names_.size());
        return true;
    }
    bool leave() {
        names_.resize(opened_.back());
        opened_.pop_back();
        return true;
    }

    Document& document_;
    std::size_t max_depth_;
    std::vector<std::string> names_;   // of the members of what is open
    std::vector<std::size_t> opened_;  // how many names there were when each of what is open began
};

}  // namespace

Result<Document> parse(std::string_view text, Limits limits) {
    if (text.size() > limits.max_bytes)
        return fail(Errc::too_large, "the JSON text has {} bytes; {} are allowed", text.size(), limits.max_bytes);
    Document document;
    rapidjson::ParseResult result;
    std::string problem;
    const auto generate = [&](Document& handler) {
        rapidjson::MemoryStream memory(text.data(), text.size());
        rapidjson::EncodedInputStream<rapidjson::UTF8<>, rapidjson::MemoryStream> stream(memory);
        rapidjson::Reader reader;
        Guard guard(handler, limits.max_depth);
        result = reader.Parse<kParseFlags>(stream, guard);
        // The parser takes a zero byte for the end.
        if (!result.IsError() && stream.Tell() != text.size()) result.Set(rapidjson::kParseErrorDocumentRootNotSingular, stream.Tell());
        problem = std::move(guard.problem);
        return !result.IsError();
    };
    document.Populate(generate);
    if (result.IsError()) {
        if (problem.empty()) problem = rapidjson::GetParseError_En(result.Code());
        return fail(Errc::invalid_argument, "not valid JSON at byte {}: {}", result.Offset(), problem);
    }
    return document;
}

std::string to_text(const Value& value) {
    rapidjson::StringBuffer buffer;
    rapidjson::Writer<rapidjson::StringBuffer> writer(buffer);
    value.Accept(writer);
    return {buffer.GetString(), buffer.GetSize()};
}

Writer& Writer::begin_object() {
    writer_.StartObject();
    return *this;
}
Writer& Writer::end_object() {
    writer_.EndObject();
    return *this;
}
Writer& Writer::begin_array() {
    writer_.StartArray();
    return *this;
}
Writer& Writer::end_array() {
    writer_.EndArray();
    return *this;
}
Writer& Writer::key(std::string_view name) {
    writer_.Key(name.data(), static_cast<rapidjson::SizeType>(name.size()));
    return *this;
}
Writer& Writer::value(std::string_view text) {
    writer_.String(text.data(), static_cast<rapidjson::SizeType>(text.size()));
    return *this;
}
Writer& Writer::value(bool flag) {
    writer_.Bool(flag);
    return *this;
}
Writer& Writer::value(std::int64_t number) {
    writer_.Int64(number);
    return *this;
}
Writer& Writer::value(std::uint64_t number) {
    writer_.Uint64(number);
    return *this;
}
Writer& Writer::value(double number) {
    writer_.Double(number);
    return *this;
}
Writer& Writer::value(Instant instant) { return value(format_instant(instant)); }
Writer& Writer::value(const Value& value) {
    value.Accept(writer_);
    return *this;
}
Writer& Writer::null() {
    writer_.Null();
    return *this;
}
Writer& Writer::raw(std::string_view json) {
    writer_.RawValue(json.data(), json.size(), rapidjson::kObjectType);
    return *this;
}
Writer& Writer::member(std::string_view name, const std::vector<std::string>& list) {
    key(name);
    begin_array();
    for (const auto& item : list) value(std::string_view{item});
    return end_array();
}
Writer& Writer::member(std::string_view name, const std::map<std::string, std::string>& map) {
    key(name);
    begin_object();
    for (const auto& [k, v] : map) key(k).value(std::string_view{v});
    return end_object();
}

}  // namespace cloudtask::json
