// SMTP through libcurl: see smtp.h.
#include "center/smtp.h"

#include <algorithm>
#include <cstring>
#include <mutex>

#include <curl/curl.h>

namespace cloudtask::center {

namespace {

long milliseconds(Duration duration) { return static_cast<long>(std::chrono::ceil<std::chrono::milliseconds>(duration).count()); }

struct Upload {
    std::string_view rest;
    bool all_read = false;
};

std::size_t read_upload(char* buffer, std::size_t size, std::size_t count, void* user) {
    auto& upload = *static_cast<Upload*>(user);
    const std::size_t length = std::min(size * count, upload.rest.size());
    std::memcpy(buffer, upload.rest.data(), length);
    upload.rest.remove_prefix(length);
    if (length == 0) upload.all_read = true;
    return length;
}

int check_stop(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<const std::atomic<bool>*>(user)->load() ? 1 : 0;
}

// What a 5xx answer to a command is about: the message, or the way in which we came (RFC 4954, RFC 3207).
bool about_login(long code) { return code == 530 || code == 534 || code == 535 || code == 538; }

Delivery::Outcome classify(CURLcode code, long answer, bool all_read) {
    using Outcome = Delivery::Outcome;
    if (code == CURLE_OK) return Outcome::delivered;
    if (code == CURLE_ABORTED_BY_CALLBACK) return Outcome::aborted;
    // libcurl answers SEND_ERROR when MAIL, RCPT or DATA is refused, WEIRD_SERVER_REPLY when the message itself is (or the greeting).
    const bool about_message = code == CURLE_SEND_ERROR || (code == CURLE_WEIRD_SERVER_REPLY && all_read);
    if (!about_message || about_login(answer)) return Outcome::unreachable;
    if (answer >= 500 && answer < 600) return Outcome::refused;
    if (answer >= 400 && answer < 500) return Outcome::put_off;
    return Outcome::unreachable;
}

}  // namespace

Result<StartTls> parse_starttls(std::string_view text) {
    if (text == "off") return StartTls::off;
    if (text == "try") return StartTls::when_offered;
    if (text == "require") return StartTls::required;
    return fail(Errc::invalid_argument, "'{}' is not a way to use STARTTLS: off, try or require", text);
}

struct SmtpTransport::Impl {
    SmtpOptions options;
    CURL* curl = nullptr;
    ~Impl() {
        if (curl != nullptr) curl_easy_cleanup(curl);
    }
};

SmtpTransport::SmtpTransport(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SmtpTransport::~SmtpTransport() = default;

Result<std::unique_ptr<SmtpTransport>> SmtpTransport::make(SmtpOptions options) {
    static std::once_flag once;
    std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
    if (!options.url.starts_with("smtp://") && !options.url.starts_with("smtps://")) {
        return fail(Errc::invalid_argument, "'{}' is not the address of a mail server: smtp://host:port or smtps://host:port", options.url);
    }
    auto impl = std::make_unique<Impl>();
    impl->options = std::move(options);
    impl->curl = curl_easy_init();
    if (impl->curl == nullptr) return fail(Errc::internal, "libcurl does not start");
    return std::unique_ptr<SmtpTransport>(new SmtpTransport(std::move(impl)));
}

Delivery SmtpTransport::send(const std::string& from, const std::string& to, std::string_view message, const std::atomic<bool>& stop) {
    CURL* const curl = impl_->curl;
    const SmtpOptions& options = impl_->options;
    curl_easy_reset(curl);  // keeps the connection
    char error[CURL_ERROR_SIZE] = "";
    Upload upload{message};
    curl_slist* recipients = curl_slist_append(nullptr, to.c_str());

    curl_easy_setopt(curl, CURLOPT_URL, options.url.c_str());
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, milliseconds(options.connect_timeout));
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, milliseconds(options.timeout));
    const long tls = options.starttls == StartTls::off        ? CURLUSESSL_NONE
                     : options.starttls == StartTls::required ? CURLUSESSL_ALL
                                                              : CURLUSESSL_TRY;
    curl_easy_setopt(curl, CURLOPT_USE_SSL, tls);
    if (!options.ca_file.empty()) curl_easy_setopt(curl, CURLOPT_CAINFO, options.ca_file.c_str());
    if (!options.username.empty()) {
        curl_easy_setopt(curl, CURLOPT_USERNAME, options.username.c_str());
        curl_easy_setopt(curl, CURLOPT_PASSWORD, options.password.c_str());
    }
    curl_easy_setopt(curl, CURLOPT_MAIL_FROM, from.c_str());
    curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, recipients);
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, read_upload);
    curl_easy_setopt(curl, CURLOPT_READDATA, &upload);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, check_stop);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, const_cast<std::atomic<bool>*>(&stop));

    const CURLcode code = curl_easy_perform(curl);
    long answer = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer);
    curl_slist_free_all(recipients);

    Delivery delivery;
    delivery.outcome = classify(code, answer, upload.all_read);
    if (delivery.outcome != Delivery::Outcome::delivered) {
        delivery.problem = error[0] != '\0' ? error : curl_easy_strerror(code);
        if (answer >= 400) delivery.problem += fmt::format(" (the server answered {})", answer);
    }
    return delivery;
}

}  // namespace cloudtask::center
