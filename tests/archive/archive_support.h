// Makes archives for tests, hostile ones among them, with libarchive's writer and by hand.
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

namespace cloudtask::archive::test {

class TempFolder {
  public:
    TempFolder() {
        std::string name = (std::filesystem::temp_directory_path() / "cloudtask-test-XXXXXX").string();
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        path_ = name;
    }
    ~TempFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    std::string operator/(const std::string& name) const { return (path_ / name).string(); }

  private:
    std::filesystem::path path_;
};

struct Item {
    std::string name;
    unsigned type = AE_IFREG;  // 0: a hard link
    std::string content = {};  // of a file; else the link's target
    unsigned mode = 0644;
};

inline void write_bytes(const std::string& path, std::string_view bytes) { std::ofstream(path, std::ios::binary) << bytes; }

inline std::string read_bytes(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

// `zip`: as .zip, else as .tar.gz in the pax format. Nothing is checked: that is what the tests want.
inline void write_archive(const std::string& path, const std::vector<Item>& items, bool zip = false, const char* passphrase = nullptr) {
    struct ::archive* out = ::archive_write_new();
    if (zip) {
        ::archive_write_set_format_zip(out);
        if (passphrase != nullptr) {
            ::archive_write_set_options(out, "zip:encryption=traditional");
            ::archive_write_set_passphrase(out, passphrase);
        }
    } else {
        ::archive_write_add_filter_gzip(out);
        ::archive_write_set_format_pax_restricted(out);
    }
    REQUIRE(::archive_write_open_filename(out, path.c_str()) == ARCHIVE_OK);
    for (const Item& item : items) {
        struct ::archive_entry* entry = ::archive_entry_new();
        ::archive_entry_set_pathname(entry, item.name.c_str());
        ::archive_entry_set_mode(entry, item.mode);
        if (item.type != 0) ::archive_entry_set_filetype(entry, item.type);
        if (item.type == AE_IFREG) ::archive_entry_set_size(entry, static_cast<la_int64_t>(item.content.size()));
        if (item.type == AE_IFLNK) ::archive_entry_set_symlink(entry, item.content.c_str());
        if (item.type == 0) ::archive_entry_set_hardlink(entry, item.content.c_str());
        REQUIRE(::archive_write_header(out, entry) >= ARCHIVE_WARN);
        if (item.type == AE_IFREG) REQUIRE(::archive_write_data(out, item.content.data(), item.content.size()) >= 0);
        ::archive_entry_free(entry);
    }
    REQUIRE(::archive_write_close(out) == ARCHIVE_OK);
    ::archive_write_free(out);
}

}  // namespace cloudtask::archive::test
