// The file of logins. Blocking; one thread.
#include "cli/credentials.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <fstream>
#include <iterator>

#include "cloudtask/core/json.h"

namespace cloudtask::cli {

namespace {

Result<> write_all(int descriptor, std::string_view data, const std::string& file) {
    while (!data.empty()) {
        const ssize_t written = ::write(descriptor, data.data(), data.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return tl::unexpected(system_error(errno, "cannot write " + file));
        data.remove_prefix(static_cast<std::size_t>(written));
    }
    if (::fsync(descriptor) != 0) return tl::unexpected(system_error(errno, "cannot write " + file));
    return {};
}

std::string to_json(const Credentials& credentials) {
    json::Writer out;
    out.begin_object().member("current", credentials.current).key("logins").begin_object();
    for (const auto& [server, login] : credentials.logins) {
        out.key(server).begin_object();
        out.member("user", login.user).member("token", login.token).member("expires_at", login.expires_at).end_object();
    }
    out.end_object().end_object();
    return out.text() + "\n";
}

}  // namespace

std::filesystem::path default_credentials_file(const Context& context) {
    const std::string configured = context.variable("XDG_CONFIG_HOME");
    // The XDG base directory specification has relative values ignored.
    const std::filesystem::path base = !configured.empty() && configured.front() == '/'
                                           ? std::filesystem::path(configured)
                                           : std::filesystem::path(context.variable("HOME")) / ".config";
    return base / "cloudtask" / "credentials.json";
}

Result<Credentials> load_credentials(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    if (!in) {
        if (errno == ENOENT || errno == ENOTDIR) return Credentials{};
        return tl::unexpected(system_error(errno, "cannot read " + file.string()));
    }
    const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    auto document = json::parse(text);
    if (!document)
        return fail(Errc::corrupt, "{} is not a file of logins ({}); remove it and log in again", file.string(), document.error().message);

    Credentials credentials;
    Faults faults;
    json::ObjectReader reader(*document, "", faults);
    reader.read("current", credentials.current, {.max = 4096});
    if (const json::Value* logins = reader.object("logins")) {
        for (const auto& entry : logins->GetObject()) {
            const std::string server(entry.name.GetString(), entry.name.GetStringLength());
            json::ObjectReader one(entry.value, reader.pointer("logins"), faults);
            Login login;
            one.read("user", login.user, {.max = 4096});
            one.read("token", login.token, {.max = 65536});
            one.read("expires_at", login.expires_at, {.max = 64});
            credentials.logins[server] = std::move(login);
        }
    }
    if (!faults.empty())
        return fail(Errc::corrupt, "{} is not a file of logins ({}); remove it and log in again", file.string(), faults.summary());
    return credentials;
}

Result<> save_credentials(const std::filesystem::path& file, const Credentials& credentials) {
    const std::filesystem::path folder = file.parent_path();
    if (!folder.empty() && !std::filesystem::exists(folder)) {
        std::error_code failed;
        std::filesystem::create_directories(folder, failed);
        if (failed) return tl::unexpected(system_error(failed.value(), "cannot make " + folder.string()));
        std::filesystem::permissions(folder, std::filesystem::perms::owner_all, failed);
    }
    std::string temporary = file.string() + ".XXXXXX";
    const int descriptor = ::mkostemp(temporary.data(), O_CLOEXEC);  // mode 0600
    if (descriptor < 0) return tl::unexpected(system_error(errno, "cannot write into " + folder.string()));
    auto written = write_all(descriptor, to_json(credentials), temporary);
    ::close(descriptor);
    if (written && ::rename(temporary.c_str(), file.c_str()) != 0) {
        written = tl::unexpected(system_error(errno, "cannot replace " + file.string()));
    }
    if (!written) ::unlink(temporary.c_str());
    return written;
}

}  // namespace cloudtask::cli
