// DataFolder: the center's folder on disk: made if absent, held by one process at a time, and the file that says where the center listens.
// Blocking; used at start and end only.
#pragma once

#include <cstdint>
#include <string>

#include "cloudtask/core/result.h"

namespace cloudtask::center {

class DataFolder {
  public:
    // Makes the folder (0750) and locks it. Errors: conflict (another center uses it), io.
    static Result<DataFolder> open(const std::string& path);
    DataFolder(DataFolder&& other) noexcept;
    DataFolder& operator=(DataFolder&&) = delete;
    ~DataFolder();  // unlocks

    std::string file(const std::string& name) const { return path_ + "/" + name; }

    // <data-dir>/address holds the address at which the center listens, for as long as it does.
    Result<> write_address(const std::string& address);
    void remove_address();

  private:
    DataFolder(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}

    std::string path_;
    int lock_;
};

// "http://127.0.0.1:8080" of a server that listens there; an address that means "all of them" becomes the loopback one.
std::string http_url(const std::string& address, std::uint16_t port);

// A port of the address that nobody listens on now. Errors: io.
Result<std::uint16_t> free_port(const std::string& address);

}  // namespace cloudtask::center
