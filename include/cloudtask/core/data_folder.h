// DataFolder: a program's folder on disk: made if absent, held by one process at a time, and the file that says where the program listens.
// Blocking; used at start and end only.
#pragma once

#include <string>

#include "cloudtask/core/result.h"

namespace cloudtask {

class DataFolder {
  public:
    // Makes the folder (0750) and locks it. Errors: conflict (another process uses it), io.
    static Result<DataFolder> open(const std::string& path);
    DataFolder(DataFolder&& other) noexcept;
    DataFolder& operator=(DataFolder&&) = delete;
    ~DataFolder();  // unlocks

    std::string file(const std::string& name) const { return path_ + "/" + name; }

    // <data-dir>/address holds the address at which the program listens, for as long as it does.
    Result<> write_address(const std::string& address);
    void remove_address();

  private:
    DataFolder(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}

    std::string path_;
    int lock_;
};

}  // namespace cloudtask
