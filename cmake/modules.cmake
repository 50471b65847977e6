# The shapes of a target. Each module is a static library of the files in its folder; each program is a main.cpp on top of one.
include(CMakeParseArguments)

# The tests' own code with CLOUDTASK_JOIN_TESTS: half of -O2's time. What they test is optimised all the same.
if(CLOUDTASK_JOIN_TESTS)
  set(CLOUDTASK_TEST_OPTIONS -Og)
endif()

# cloudtask_module(NAME USES <modules...> LIBRARIES <private third-party targets...>)
function(cloudtask_module name)
  cmake_parse_arguments(ARG "" "" "USES;LIBRARIES" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")
  add_library(cloudtask_${name} STATIC ${sources})
  target_include_directories(cloudtask_${name}
    PUBLIC ${PROJECT_SOURCE_DIR}/include
    PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(cloudtask_${name} PUBLIC cloudtask_compiler ${ARG_LIBRARIES} Threads::Threads)
  foreach(module IN LISTS ARG_USES)
    target_link_libraries(cloudtask_${name} PUBLIC cloudtask_${module})
  endforeach()
endfunction()

# cloudtask_program(NAME MODULE): src/<module>/main.cpp
function(cloudtask_program name module)
  add_executable(${name} ${CMAKE_CURRENT_SOURCE_DIR}/main.cpp)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(${name} PRIVATE cloudtask_${module})
endfunction()

# cloudtask_tests(NAME LABEL <label> MODULES <modules...>): the *_test.cpp files of this folder as one Catch2 program and one ctest entry.
# Labels: unit (no network, no waiting), contract and integration (real servers).
function(cloudtask_tests name)
  cmake_parse_arguments(ARG "" "LABEL;TIMEOUT" "MODULES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  add_executable(${name}_tests ${sources})
  target_include_directories(${name}_tests PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR})
  target_compile_definitions(${name}_tests PRIVATE CLOUDTASK_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name}_tests PRIVATE cloudtask_test_main)
  foreach(module IN LISTS ARG_MODULES)
    target_link_libraries(${name}_tests PRIVATE cloudtask_${module})
  endforeach()
  if(CLOUDTASK_JOIN_TESTS)
    set_target_properties(${name}_tests PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
    target_compile_options(${name}_tests PRIVATE -Wno-subobject-linkage)  # see cmake/compiler.cmake
  endif()
  target_compile_options(${name}_tests PRIVATE ${CLOUDTASK_TEST_OPTIONS})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 600)  # sanitizers make the random walks slow
  endif()
  add_test(NAME ${name} COMMAND ${name}_tests --rng-seed time)
  set_tests_properties(${name} PROPERTIES LABELS ${ARG_LABEL} TIMEOUT ${ARG_TIMEOUT})
endfunction()
