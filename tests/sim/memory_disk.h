// MemoryDisk: where SQLite keeps the files of simulated machines: in memory, so that a node's database outlives the crash of its process
// and is opened again as it was left, and so that the disk of one machine can be made to fail. It is a VFS (sqlite.org/vfs.html) that is
// the default of the process; files whose path does not begin with kRoot go to the system's own.
//
// One thread. What it does not play: the loss of what was written but not synced (a machine that loses power).
#pragma once

#include <cstdint>
#include <string>

namespace cloudtask::sim {

class MemoryDisk {
  public:
    // Registers the VFS, once for the process.
    static void install();

    // The folder of a new, empty disk; numbered anew for each simulated world.
    explicit MemoryDisk(std::string name);
    ~MemoryDisk();
    MemoryDisk(const MemoryDisk&) = delete;
    MemoryDisk& operator=(const MemoryDisk&) = delete;

    std::string path(const std::string& file) const;
    // While it fails, every write says that the disk is full.
    void set_failing(bool failing);
    void erase_all();

  private:
    std::string name_;
};

}  // namespace cloudtask::sim
