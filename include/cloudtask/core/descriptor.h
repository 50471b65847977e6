// Descriptor: a file descriptor that is closed with its owner. Lives on any thread, like an int.
//
// It does not look at what close(2) returns: whoever needs the bytes on the disk has synced them before.
#pragma once

#include <unistd.h>

#include <utility>

namespace cloudtask {

class Descriptor {
  public:
    // What open(2) and its kin return, so also -1 for "not open", which get() shows.
    explicit Descriptor(int value = -1) : value_(value) {}
    ~Descriptor() {
        if (value_ >= 0) ::close(value_);
    }
    Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(value_, other.value_);
        return *this;
    }

    int get() const { return value_; }
    // Gives it to somebody else to close.
    int release() { return std::exchange(value_, -1); }

  private:
    int value_;
};

}  // namespace cloudtask
