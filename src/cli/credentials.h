// Credentials: the logins that the CLI remembers: a token per center, in one file that only its owner may read.
//
// One thread. Blocking file access. Passwords are never stored.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "cli/context.h"
#include "cloudtask/core/result.h"

namespace cloudtask::cli {

struct Login {
    std::string user;
    std::string token;
    std::string expires_at;  // RFC 3339, as the center said; may be empty
};

struct Credentials {
    std::string current;                  // the server of the last login; empty: none
    std::map<std::string, Login> logins;  // by server, so that a token is never sent to another one
};

// $XDG_CONFIG_HOME/cloudtask/credentials.json, or ~/.config/... without that variable.
std::filesystem::path default_credentials_file(const Context& context);

// A file that does not exist is empty credentials.
Result<Credentials> load_credentials(const std::filesystem::path& file);

// Replaces the file in one step (a reader sees the old one or the new one); mode 0600, made folders 0700.
Result<> save_credentials(const std::filesystem::path& file, const Credentials& credentials);

}  // namespace cloudtask::cli
