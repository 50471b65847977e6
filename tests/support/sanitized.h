// Whether the tests run under a sanitizer, where each step takes many times as long: random walks through code of one thread take fewer
// there. The release build walks them all.
#pragma once

namespace cloudtask {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif
#if defined(__SANITIZE_THREAD__)
inline constexpr bool kThreadSanitized = true;
#else
inline constexpr bool kThreadSanitized = false;
#endif

}  // namespace cloudtask
