// Utf8Stream: turns pieces of a byte stream into valid UTF-8 text, without cutting a character between two pieces. Pure; one thread.
//
// Ill-formed sequences become U+FFFD, one for each maximal ill-formed part (The Unicode Standard, section 3.9, "U+FFFD Substitution").
#pragma once

#include <string>
#include <string_view>

namespace cloudtask::center {

class Utf8Stream {
  public:
    // The text of what is complete; up to 3 bytes of an unfinished character are kept for the next piece.
    std::string take(std::string_view bytes);
    // What is left at the end of the stream, replaced.
    std::string finish();
    // Bytes that take() kept.
    std::size_t held() const { return rest_.size(); }

  private:
    std::string rest_;
};

}  // namespace cloudtask::center
