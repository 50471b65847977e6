// YAML documents as JSON with line numbers. Pure.
#include "cli/yaml.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>
#include <sstream>

#include <rapidjson/encodings.h>
#include <rapidjson/memorystream.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

namespace cloudtask::cli {

namespace {

constexpr std::size_t kMaxDepth = 32;
constexpr std::size_t kMaxValues = 200'000;  // an alias of an alias of an alias ... grows without end

enum class ScalarKind { null, boolean, integer, real, text };

// What a plain scalar is in the core schema (YAML 1.2, section 10.3.2); numbers in decimal only, as JSON has them.
ScalarKind scalar_kind(std::string_view text) {
    if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") return ScalarKind::null;
    for (const std::string_view word : {"true", "True", "TRUE", "false", "False", "FALSE"}) {
        if (text == word) return ScalarKind::boolean;
    }
    const std::string_view digits = text.front() == '-' ? text.substr(1) : text;
    if (digits.empty() || digits.front() < '0' || digits.front() > '9') return ScalarKind::text;
    const char* const end = text.data() + text.size();
    std::int64_t integer = 0;
    if (const auto read = std::from_chars(text.data(), end, integer); read.ec == std::errc{} && read.ptr == end) return ScalarKind::integer;
    double real = 0;
    if (const auto read = std::from_chars(text.data(), end, real); read.ec == std::errc{} && read.ptr == end && std::isfinite(real))
        return ScalarKind::real;
    return ScalarKind::text;
}

// The position of the first byte that is not UTF-8; npos if there is none.
std::size_t bad_utf8(const std::string& text) {
    struct Nowhere {
        void Put(char) {}
    } nowhere;
    rapidjson::MemoryStream stream(text.data(), text.size());
    while (stream.Tell() < text.size()) {
        const std::size_t begin = stream.Tell();
        if (!rapidjson::UTF8<>::Validate(stream, nowhere)) return begin;
    }
    return std::string::npos;
}

class Converter {
  public:
    explicit Converter(YamlDocument& document) : document_(document) {}

    // Throws YamlError; read_yaml() catches it.
    json::Value convert(const YAML::Node& node, const std::string& pointer, std::size_t depth) {
        if (depth > kMaxDepth) throw YamlError{line_at(node), fmt::format("is nested more than {} levels deep", kMaxDepth)};
        if (++values_ > kMaxValues) throw YamlError{line_at(node), fmt::format("has more than {} values", kMaxValues)};
        document_.lines.try_emplace(pointer, line_at(node));
        switch (node.Type()) {
            case YAML::NodeType::Map:
                return convert_map(node, pointer, depth);
            case YAML::NodeType::Sequence:
                return convert_sequence(node, pointer, depth);
            case YAML::NodeType::Scalar:
                return convert_scalar(node);
            case YAML::NodeType::Null:
            case YAML::NodeType::Undefined:
                break;
        }
        return json::Value(rapidjson::kNullType);
    }

  private:
    static int line_at(const YAML::Node& node) { return node.Mark().line + 1; }

    // yaml-cpp 0.7 makes one byte of each of two escapes of quoted texts, and that is not UTF-8.
    static const std::string& text_of(const YAML::Node& node) {
        if (bad_utf8(node.Scalar()) == std::string::npos) return node.Scalar();
        throw YamlError{line_at(node), "has one of the escapes \\N and \\_, which cannot be read: write \\x85 or \\xa0"};
    }

    json::Value text_value(const std::string& text) {
        return json::Value(text.data(), static_cast<rapidjson::SizeType>(text.size()), document_.value.GetAllocator());
    }

    json::Value convert_map(const YAML::Node& node, const std::string& pointer, std::size_t depth) {
        json::Value object(rapidjson::kObjectType);
        std::set<std::string> seen;
        for (const auto& entry : node) {
            if (!entry.first.IsScalar()) throw YamlError{line_at(entry.first), "has a key that is not a text"};
            const std::string name = text_of(entry.first);
            if (!seen.insert(name).second) throw YamlError{line_at(entry.first), fmt::format("has the key \"{}\" twice", name)};
            const std::string inner = pointer_to(pointer, name);
            document_.lines.try_emplace(inner, line_at(entry.first));
            auto value = convert(entry.second, inner, depth + 1);
            object.AddMember(text_value(name), std::move(value), document_.value.GetAllocator());
        }
        return object;
    }

    json::Value convert_sequence(const YAML::Node& node, const std::string& pointer, std::size_t depth) {
        json::Value array(rapidjson::kArrayType);
        std::size_t index = 0;
        for (const auto& item : node) {
            array.PushBack(convert(item, pointer_to(pointer, index), depth + 1), document_.value.GetAllocator());
            ++index;
        }
        return array;
    }

    json::Value convert_scalar(const YAML::Node& node) {
        const std::string& text = text_of(node);
        // yaml-cpp tags a plain scalar "?", a quoted one "!".
        if (node.Tag() == "?") {
            switch (scalar_kind(text)) {
                case ScalarKind::null:
                    return json::Value(rapidjson::kNullType);
                case ScalarKind::boolean:
                    return json::Value(text.front() == 't' || text.front() == 'T');
                case ScalarKind::integer:
                    return json::Value(static_cast<std::int64_t>(std::stoll(text)));
                case ScalarKind::real:
                    return json::Value(std::stod(text));
                case ScalarKind::text:
                    break;
            }
        } else if (!node.Tag().empty() && node.Tag() != "!" && node.Tag() != "tag:yaml.org,2002:str") {
            throw YamlError{line_at(node), fmt::format("has the tag {}, which is not supported", node.Tag())};
        }
        return text_value(text);
    }

    YamlDocument& document_;
    std::size_t values_ = 0;
};

// A byte of a character that may not stand in YAML as it is (YAML 1.2, c-printable); quoted texts can hold it as an escape.
bool is_control(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t' && c != '\n' && c != '\r') || byte == 0x7f;
}

// yaml-cpp passes on what is no text, which JSON cannot hold, and reads control characters in ways of its own. Throws YamlError.
void need_text(const std::string& text) {
    const auto line_of = [&text](auto position) {
        return static_cast<int>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(position), '\n')) + 1;
    };
    const auto control = std::find_if(text.begin(), text.end(), is_control);
    if (control != text.end()) {
        throw YamlError{line_of(control - text.begin()),
                        fmt::format("has the control character \\x{:02x}, which YAML does not allow: write it as an escape in "
                                    "double quotes",
                                    static_cast<unsigned char>(*control))};
    }
    const std::size_t bad = bad_utf8(text);
    if (bad != std::string::npos) throw YamlError{line_of(bad), "is not text in UTF-8"};
}

// Follows the parser without keeping anything. On some texts that are not YAML (",?" for one) yaml-cpp 0.7 finds documents without end and
// without reading on: more than the text has room for is a fault.
class Endless final : public YAML::EventHandler {
  public:
    explicit Endless(std::size_t bytes) : left_(4 * bytes + 16) {}

    void OnDocumentStart(const YAML::Mark& mark) override { count(mark); }
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { count(mark); }
    void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { count(mark); }
    void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t, const std::string&) override { count(mark); }
    void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override { count(mark); }
    void OnSequenceEnd() override {}
    void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override { count(mark); }
    void OnMapEnd() override {}

  private:
    void count(const YAML::Mark& mark) {
        if (left_-- == 0)
            throw YamlError{mark.line + 1, "is not YAML: something stands here that begins or separates an entry, outside of any"};
    }
    std::size_t left_;
};

// Throws YamlError or a YAML::Exception.
void need_end(const std::string& text) {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    Endless endless(text.size());
    while (parser.HandleNextDocument(endless)) {
    }
}

YamlDocument read_document(const YAML::Node& root) {
    YamlDocument document;
    document.line = root.Mark().line + 1;
    json::Value value = Converter(document).convert(root, "", 0);
    static_cast<json::Value&>(document.value) = std::move(value);
    return document;
}

}  // namespace

int YamlDocument::line_of(std::string pointer) const {
    for (;;) {
        if (const auto found = lines.find(pointer); found != lines.end()) return found->second;
        const std::size_t slash = pointer.rfind('/');
        if (slash == std::string::npos) return line;
        pointer.resize(slash);
    }
}

tl::expected<std::vector<YamlDocument>, YamlError> read_yaml(const std::string& text) {
    std::vector<YamlDocument> documents;
    try {
        need_text(text);
        need_end(text);
        for (const YAML::Node& root : YAML::LoadAll(text)) {
            if (!root.IsDefined() || root.IsNull()) continue;
            if (!root.IsSequence()) {
                documents.push_back(read_document(root));
                continue;
            }
            for (const YAML::Node& item : root) documents.push_back(read_document(item));
        }
    } catch (const YamlError& error) {
        return tl::unexpected(error);
    } catch (const YAML::Exception& error) {
        return tl::unexpected(YamlError{error.mark.line + 1, "is not YAML: " + error.msg});
    }
    return documents;
}

bool is_plain_text(std::string_view text) {
    if (scalar_kind(text) != ScalarKind::text) return false;
    if (text.front() == ' ' || text.back() == ' ' || text.back() == ':') return false;
    constexpr std::string_view kIndicators = "-?:,[]{}#&*!|>'\"%@`=<+.";
    if (kIndicators.find(text.front()) != std::string_view::npos) return false;
    if (std::any_of(text.begin(), text.end(), [](char c) { return is_control(c) || c == '\t' || c == '\n' || c == '\r'; })) return false;
    // YAML 1.1 readers, which are still common, take these for booleans.
    for (const std::string_view word : {"yes", "Yes", "YES", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF", "y", "Y", "n", "N"}) {
        if (text == word) return false;
    }
    return text.find(": ") == std::string_view::npos && text.find(" #") == std::string_view::npos &&
           text.find_first_of("[]{},") == std::string_view::npos &&
           (text.front() < '0' || text.front() > '9' || text.find_first_of(":_") == std::string_view::npos);
}

}  // namespace cloudtask::cli
