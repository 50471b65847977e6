// RequestParser on Beast's basic_parser. The only file that includes Beast (it costs seconds to compile). No sockets. Any one thread.
#include <limits>
#include <utility>

#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

#include "http/request_parser.h"
#include "http/text.h"

namespace cloudtask::http {

namespace beast = boost::beast::http;

class RequestParser::Impl final : public beast::basic_parser<true> {
  public:
    explicit Impl(std::size_t max_header_bytes) : max_header_bytes_(max_header_bytes) {
        header_limit(static_cast<std::uint32_t>(max_header_bytes));
        // The reader of the body counts, as the bound depends on the route. (boost::none would refuse every Content-Length in Beast 1.74.)
        body_limit(std::numeric_limits<std::uint64_t>::max());
        eager(false);
    }

    std::size_t feed(std::string_view input, std::string& body) {
        std::size_t used = 0;
        body_ = &body;
        while (!refusal_ && !is_done() && used < input.size()) {
            const bool head_was_done = is_header_done();
            boost::system::error_code error;
            const std::size_t n = put(boost::asio::const_buffer(input.data() + used, input.size() - used), error);
            used += n;
            if (!head_was_done) head_bytes_ += n;
            // Beast bounds one field at a time; this bounds their sum.
            if (!head_was_done && head_bytes_ + (is_header_done() ? 0 : input.size() - used) > max_header_bytes_) {
                refuse(431, "The header is larger than the server accepts.");
            } else if (error == beast::error::need_more) {
                // A chunk's header, its extensions and the trailers wait in the input until they are complete.
                if (is_header_done() && input.size() - used > max_header_bytes_) refuse(400, "A chunk's header is too long.");
                break;
            } else if (error) {
                if (!refusal_) refuse_for(error);
            } else if (!head_was_done) {
                if (is_header_done()) finish_head();
                break;
            }
        }
        body_ = nullptr;
        return used;
    }

    const std::optional<Refusal>& refusal() const { return refusal_; }
    const RequestHead& head() const { return head_; }

  private:
    using Text = boost::beast::string_view;
    using Code = boost::system::error_code;

    void refuse(int status, std::string detail) { refusal_ = Refusal{status, std::move(detail)}; }

    void refuse_for(const Code& error) {
        if (error == beast::error::header_limit) return refuse(431, "The header is larger than the server accepts.");
        if (error == beast::error::bad_version) return refuse(505, "Only HTTP/1.0 and HTTP/1.1 are spoken here.");
        refuse(400, "This is not well-formed HTTP: " + error.message() + ".");
    }

    // Rules of RFC 9112 (3.2, 6.1, 6.3) that Beast leaves to its user.
    void finish_head() {
        head_.keep_alive = keep_alive();
        head_.chunked = chunked();
        if (const auto length = content_length(); length && !head_.chunked) head_.content_length = *length;
        if (head_.http11 && !head_.headers.has("Host")) return refuse(400, "The request has no Host header.");
        if (head_.headers.has("Transfer-Encoding")) {
            if (head_.headers.has("Content-Length")) {
                return refuse(400, "The request has both a Content-Length and a Transfer-Encoding.");
            }
            if (!head_.http11) return refuse(400, "HTTP/1.0 has no Transfer-Encoding.");
            if (!equal_ignoring_case(head_.headers.get("Transfer-Encoding"), "chunked")) {
                return refuse(501, "The only Transfer-Encoding understood here is chunked.");
            }
        }
        if (const auto expect = head_.headers.get("Expect"); !expect.empty()) {
            if (!equal_ignoring_case(expect, "100-continue")) return refuse(417, "The only expectation understood here is 100-continue.");
            head_.expects_continue = head_.http11;
        }
    }

    void on_request_impl(beast::verb, Text method, Text target, int version, Code&) override {
        head_.method = std::string(method);
        head_.target = std::string(target);
        head_.http11 = version >= 11;
    }

    void on_field_impl(beast::field, Text name, Text value, Code& error) override {
        if (is_header_done()) return;  // trailers carry nothing that is used here
        // Repeated, these mean that two readers of the request may see two different requests.
        static constexpr std::string_view kSingle[] = {"Content-Length", "Transfer-Encoding", "Host",
                                                       "Authorization",  "Content-Type",      "Expect"};
        const std::string_view known(name.data(), name.size());
        const std::string_view text(value.data(), value.size());
        for (const auto single : kSingle) {
            if (!equal_ignoring_case(single, known)) continue;
            const bool list = equal_ignoring_case(single, "Content-Length") && text.find(',') != std::string_view::npos;
            if (!list && !head_.headers.has(single)) break;
            refuse(400, "The header " + std::string(single) + " stands more than once.");
            error = beast::error::bad_field;
            return;
        }
        std::string joined(text);
        if (const auto before = head_.headers.get(known); !before.empty()) {
            joined = std::string(before) + (equal_ignoring_case(known, "Cookie") ? "; " : ", ") + joined;
        }
        head_.headers.set(std::string(known), std::move(joined));
    }

    std::size_t on_body_impl(Text body, Code&) override {
        body_->append(body.data(), body.size());
        return body.size();
    }
    std::size_t on_chunk_body_impl(std::uint64_t, Text body, Code&) override {
        body_->append(body.data(), body.size());
        return body.size();
    }

    void on_response_impl(int, Text, int, Code&) override {}
    void on_header_impl(Code&) override {}
    void on_body_init_impl(const boost::optional<std::uint64_t>&, Code&) override {}
    void on_chunk_header_impl(std::uint64_t, Text, Code&) override {}
    void on_finish_impl(Code&) override {}

    std::size_t max_header_bytes_;
    std::size_t head_bytes_ = 0;
    RequestHead head_;
    std::optional<Refusal> refusal_;
    std::string* body_ = nullptr;  // set while feed() runs
};

RequestParser::RequestParser(std::size_t max_header_bytes) : impl_(std::make_unique<Impl>(max_header_bytes)) {}
RequestParser::~RequestParser() = default;

std::size_t RequestParser::feed(std::string_view input, std::string& body) { return impl_->feed(input, body); }
bool RequestParser::head_done() const { return impl_->is_header_done(); }
bool RequestParser::done() const { return impl_->is_done(); }
const std::optional<Refusal>& RequestParser::refusal() const { return impl_->refusal(); }
const RequestHead& RequestParser::head() const { return impl_->head(); }

std::optional<std::uint64_t> RequestParser::remaining() const {
    if (impl_->is_done()) return 0;
    if (const auto left = impl_->content_length_remaining()) return *left;
    return std::nullopt;
}

}  // namespace cloudtask::http
