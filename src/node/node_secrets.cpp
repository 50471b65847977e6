// NodeSecrets: see node_secrets.h.
#include "node/node_secrets.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "cloudtask/core/descriptor.h"
#include "cloudtask/core/hash.h"
#include "cloudtask/core/log.h"
#include "cloudtask/core/private_file.h"
#include "cloudtask/task/task_secrets.h"

namespace cloudtask::node {

namespace {

constexpr Duration kGoneKept = std::chrono::hours{24};

// Where the value belongs, as the center puts it in front of it.
std::string head_of(const KeptSecret& secret) { return fmt::format("{}/{}@{}\n", secret.group, secret.name, secret.version); }

// In a folder that everybody may write to, somebody else may have made it first.
Result<> make_own_folder(const std::string& path) {
    struct stat status{};
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return tl::unexpected<Error>(system_error(errno, "cannot make " + path));
    if (::lstat(path.c_str(), &status) != 0) return tl::unexpected<Error>(system_error(errno, "cannot look at " + path));
    if (!S_ISDIR(status.st_mode) || status.st_uid != ::geteuid() || (status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return fail(Errc::permission_denied, "{} is not a folder of this user alone; remove it, or choose another secrets.folder", path);
    }
    struct statfs system{};
    if (::statfs(path.c_str(), &system) != 0 || (system.f_type != TMPFS_MAGIC && system.f_type != RAMFS_MAGIC)) {
        return fail(Errc::unsupported, "{} is not in memory; name a folder of a tmpfs in secrets.folder", path);
    }
    return {};
}

}  // namespace

Result<KeyPair> open_node_keys(const std::string& path) {
    auto content = read_private_file(path);
    if (!content) return propagate(content);
    if (!*content) {
        KeyPair keys = make_key_pair();
        if (const auto made = make_private_file(path, to_base64(keys.private_key) + "\n"); !made) return propagate(made);
        return keys;
    }
    const std::string& text = **content;
    const auto bytes = from_base64(std::string_view(text).substr(0, text.find('\n')));
    auto keys = bytes ? key_pair_of(*bytes) : Result<KeyPair>(propagate(bytes));
    if (!keys) {
        return fail(Errc::corrupt,
                    "{} does not hold this node's key: remove the file, and the node makes another one and is sent its secrets anew", path);
    }
    return keys;
}

NodeSecrets::NodeSecrets(KeyPair keys, std::string folder) : keys_(std::move(keys)), folder_(std::move(folder)) {}

void NodeSecrets::load(const std::vector<KeptSecret>& kept) { apply({kept, {}}); }

std::vector<std::int64_t> NodeSecrets::have() const {
    std::vector<std::int64_t> versions;
    for (const auto& [version, secret] : kept_) {
        if (secret.key == keys_.public_key) versions.push_back(version);
    }
    return versions;
}

SecretChange NodeSecrets::compare(const std::vector<ToldSecret>& told, Instant now) const {
    SecretChange change;
    std::set<std::int64_t> named;
    for (const ToldSecret& secret : told) {
        named.insert(secret.version);
        const auto known = kept_.find(secret.version);
        if (!secret.sealed.empty()) {
            change.put.push_back({secret.version, secret.group, secret.name, secret.sealed, keys_.public_key, {}});
        } else if (known != kept_.end() && known->second.gone_at) {
            change.put.push_back(known->second);
            change.put.back().gone_at.reset();
        }
    }
    std::set<std::int64_t> used;
    for (const auto& [run_id, versions] : runs_) {
        for (const auto& [name, version] : *versions) used.insert(version);
    }
    for (const auto& [version, secret] : kept_) {
        if (named.contains(version)) continue;
        if (!secret.gone_at) {
            change.put.push_back(secret);
            change.put.back().gone_at = now;
        } else if (now - *secret.gone_at > kGoneKept && !used.contains(version)) {
            change.drop.push_back(version);
        }
    }
    return change;
}

void NodeSecrets::apply(const SecretChange& change) {
    for (const auto& secret : change.put) {
        versions_[{secret.group, secret.name}].insert(secret.version);
        const auto known = kept_.find(secret.version);
        if (known == kept_.end() || known->second.sealed != secret.sealed) opened_.erase(secret.version);
        kept_.insert_or_assign(secret.version, secret);
    }
    for (const std::int64_t version : change.drop) {
        const auto found = kept_.find(version);
        if (found == kept_.end()) continue;
        const Place place{found->second.group, found->second.name};
        if (auto& versions = versions_[place]; versions.erase(version) > 0 && versions.empty()) versions_.erase(place);
        kept_.erase(found);
        opened_.erase(version);
    }
}

std::optional<std::int64_t> NodeSecrets::find(const std::string& group, const std::string& name) const {
    std::optional<std::int64_t> gone;
    for (const std::string& of : {group, std::string{}}) {
        const auto place = versions_.find({of, name});
        if (place == versions_.end()) continue;
        for (auto version = place->second.rbegin(); version != place->second.rend(); ++version) {
            if (!kept_.at(*version).gone_at) return *version;
            if (!gone) gone = *version;
        }
    }
    return gone;
}

bool NodeSecrets::knows(const task::Task& task) const {
    const auto named = task::named_secrets(task);
    return std::all_of(named.begin(), named.end(), [&](const auto& name) { return find(task.group, name.secret).has_value(); });
}

std::shared_ptr<const task::SecretVersions> NodeSecrets::versions_for(const task::Task& task) const {
    task::SecretVersions versions;
    for (const auto& [pointer, secret] : task::named_secrets(task)) {
        if (const auto version = find(task.group, secret)) versions.emplace(secret, *version);
    }
    if (versions.empty()) return {};
    return std::make_shared<const task::SecretVersions>(std::move(versions));
}

void NodeSecrets::note(const std::string& run_id, std::shared_ptr<const task::SecretVersions> versions) {
    if (versions) {
        runs_.insert_or_assign(run_id, std::move(versions));
    } else {
        runs_.erase(run_id);
    }
}

void NodeSecrets::forget(const std::string& run_id) { runs_.erase(run_id); }

Result<std::shared_ptr<const NodeSecrets::Value>> NodeSecrets::value_of(const std::string& name, std::int64_t version) const {
    if (const auto known = opened_.find(version); known != opened_.end()) return known->second;
    const auto found = kept_.find(version);
    if (found == kept_.end()) return fail(Errc::not_found, "this node does not have version {} of the secret '{}'", version, name);
    const KeptSecret& secret = found->second;
    auto text = open_sealed(keys_, secret.sealed);
    if (!text) return fail(Errc::corrupt, "the secret '{}' cannot be opened: {}", name, text.error().message);
    const std::string head = head_of(secret);
    if (!text->starts_with(head)) return fail(Errc::corrupt, "the secret '{}' cannot be opened: it is another one's", name);
    auto value = std::make_shared<Value>();
    value->bytes = text->substr(head.size());
    value->masked = masked_texts(value->bytes);
    opened_.emplace(version, value);
    return value;
}

std::shared_ptr<const RunMask> NodeSecrets::mask_of(const std::string& run_id) const {
    const auto run = runs_.find(run_id);
    if (run == runs_.end()) return {};
    auto mask = std::make_shared<RunMask>();
    for (const auto& [name, version] : *run->second) {
        const auto value = value_of(name, version);
        if (value) {
            mask->texts.insert(mask->texts.end(), (*value)->masked.begin(), (*value)->masked.end());
        } else if (!std::exchange(mask->everything, true)) {
            log::error("run {}: all of its output is starred: {}", run_id, value.error().message);
        }
    }
    return mask;
}

Result<std::shared_ptr<const NodeSecrets::Value>> NodeSecrets::value_for(const task::Run& run, const std::string& name) const {
    const auto version = run.secrets ? run.secrets->find(name) : task::SecretVersions::const_iterator{};
    if (run.secrets && version != run.secrets->end()) return value_of(name, version->second);
    return fail(Errc::not_found, "this node does not have the secret '{}'", name);
}

Result<std::string> NodeSecrets::give_value(const task::Run& run, const std::string& name) const {
    const auto value = value_for(run, name);
    if (!value) return propagate(value);
    return (*value)->bytes;
}

Result<std::map<std::string, std::string>> NodeSecrets::give(const task::Task& task, const task::Run& run) {
    std::map<std::string, std::string> variables;
    if (!task.secrets) return variables;
    for (const auto& [variable, use] : *task.secrets) {
        const auto value = value_for(run, use.secret);
        Result<> given = value ? Result<>{} : propagate(value);
        if (given && use.as_file) {
            given = write_file(run.id, variable, (*value)->bytes);
            variables.emplace(variable, fmt::format("{}/{}/{}", folder_, run.id, variable));
        } else if (given && (*value)->bytes.find('\0') != std::string::npos) {
            given =
                fail(Errc::unsupported, "the secret '{}' has a byte of zero, which no variable can have: give it as a file", use.secret);
        } else if (given) {
            variables.emplace(variable, (*value)->bytes);
        }
        if (!given) {
            take_back(run.id);
            return propagate(given);
        }
    }
    return variables;
}

Result<> NodeSecrets::write_file(const std::string& run_id, const std::string& variable, std::string_view value) {
    if (with_files_.insert(run_id).second) {
        const std::string run_folder = folder_ + "/" + run_id;
        if (auto made = make_own_folder(folder_); !made) return made;
        std::error_code none;
        std::filesystem::remove_all(run_folder, none);  // of a start that was not noted any more
        if (auto made = make_own_folder(run_folder); !made) return made;
    }
    const std::string path = fmt::format("{}/{}/{}", folder_, run_id, variable);
    const Descriptor file{::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400)};
    if (file.get() < 0) return tl::unexpected<Error>(system_error(errno, "cannot make " + path));
    while (!value.empty()) {
        const ssize_t count = ::write(file.get(), value.data(), value.size());
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return tl::unexpected<Error>(system_error(errno, "cannot write " + path));
        value.remove_prefix(static_cast<std::size_t>(count));
    }
    return {};
}

void NodeSecrets::take_back(const std::string& run_id) {
    if (with_files_.erase(run_id) == 0) return;
    std::error_code error;
    std::filesystem::remove_all(folder_ + "/" + run_id, error);
    if (error) log::error("the secrets of run {} cannot be removed: {}/{}: {}", run_id, folder_, run_id, error.message());
    ::rmdir(folder_.c_str());  // while others are in it, it stays
}

void NodeSecrets::tidy(const std::set<std::string>& run_ids) {
    std::error_code error;
    if (folder_.empty() || !std::filesystem::is_directory(std::filesystem::symlink_status(folder_, error))) return;
    if (const auto own = make_own_folder(folder_); !own) {
        log::warn("{}", own.error().message);
        return;
    }
    std::vector<std::string> there;
    for (const auto& entry : std::filesystem::directory_iterator(folder_, error)) there.push_back(entry.path().filename().string());
    for (const auto& run_id : there) {
        with_files_.insert(run_id);
        if (!run_ids.contains(run_id)) take_back(run_id);
    }
}

}  // namespace cloudtask::node
