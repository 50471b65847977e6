# Warnings, sanitizers and the compiler cache, for every target of the project.
find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
endif()

add_library(cloudtask_compiler INTERFACE)
target_compile_options(cloudtask_compiler INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual)
if(CLOUDTASK_WERROR)
  target_compile_options(cloudtask_compiler INTERFACE -Werror)
endif()
if(CLOUDTASK_SANITIZE)
  add_compile_options(-fsanitize=${CLOUDTASK_SANITIZE} -fno-omit-frame-pointer -g1)
  add_link_options(-fsanitize=${CLOUDTASK_SANITIZE})
  if(CLOUDTASK_SANITIZE MATCHES "undefined")
    # What AddressSanitizer sees as well (a null pointer traps) costs as much compile time as all the rest together. builtin: RapidJSON counts
    # the leading zeros of a significand that is zero (its value is, too, whatever comes of it); our own code calls none of these built-ins.
    add_compile_options(-fno-sanitize=null,alignment,vptr,object-size,nonnull-attribute,returns-nonnull-attribute,builtin)
  endif()
  if(CLOUDTASK_SANITIZE MATCHES "thread")
    # Asio 1.74 uses atomic_thread_fence, which GCC's TSan warns that it does not model.
    target_compile_options(cloudtask_compiler INTERFACE -Wno-tsan)
  endif()
endif()
# The presets asan and tsan join the files of a target by twenty (CMAKE_UNITY_BUILD), for headers, and what each file makes of their templates,
# are most of what such a build compiles: half the time by eight, a third by twenty. Release compiles the product file by file, so that each
# includes what it uses, and joins the tests (CLOUDTASK_JOIN_TESTS).
if(CMAKE_UNITY_BUILD AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC takes every included file for a header, in which an unnamed namespace would be a fault.
  target_compile_options(cloudtask_compiler INTERFACE -Wno-subobject-linkage)
endif()
