# Flags common to all our targets, and the one function that makes a library of a folder.

# Lines are all that a sanitizer's report needs, or a test, and cost a fraction of what -g does to compile and link. (After
# a -g1 a -g still means -g2, whence the property.)
set(debug_symbols -g)
if(SYNCLINE_SANITIZE)
  set(debug_symbols -g1)
endif()

add_library(syncline_options INTERFACE)
target_compile_options(syncline_options INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual
  -Wnull-dereference -Wdouble-promotion -Wformat=2 -Wimplicit-fallthrough -Werror
  -fno-omit-frame-pointer -fno-semantic-interposition
  $<IF:$<BOOL:$<TARGET_PROPERTY:SYNCLINE_LINES_ONLY>>,-g1,${debug_symbols}>
  "-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=")
target_compile_definitions(syncline_options INTERFACE
  BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_DISABLE_VISIBILITY
  BOOST_ASIO_RECYCLING_ALLOCATOR_CACHE_SIZE=8)
target_include_directories(syncline_options INTERFACE ${CMAKE_SOURCE_DIR})
# Boost and friends are system headers: their warnings are theirs.
target_link_libraries(syncline_options INTERFACE Threads::Threads)

# Several files are compiled as one (4 in a release build, so that an edit stays cheap; 8 under a sanitizer), which takes
# 0.4 of the time. Names in anonymous namespaces must therefore differ within a library. The debug and fuzz presets
# compile each file alone, so that a missing #include shows. CMake's own unity builds name the files by absolute paths,
# and the compiler cache would not serve another folder.
set(SYNCLINE_BATCH 1 CACHE STRING "Files compiled as one")
if(SYNCLINE_BATCH GREATER 1)
  # An anonymous namespace in an included .cpp file looks like one in a header to GCC.
  target_compile_options(syncline_options INTERFACE -Wno-subobject-linkage)
endif()

# Fills `out` with `sources`, files of ours made into batches. Files with definitions of their own stay alone.
function(syncline_batches out name)
  set(all)
  set(batch)
  set(number 0)
  foreach(source ${ARGN} "")
    set(alone OFF)
    if(source)
      get_source_file_property(alone ${source} COMPILE_DEFINITIONS)
      list(APPEND all ${source})
    endif()
    if(source MATCHES "\\.cpp$" AND NOT alone AND SYNCLINE_BATCH GREATER 1)
      file(RELATIVE_PATH included ${CMAKE_SOURCE_DIR} ${source})
      list(APPEND batch "#include \"${included}\"\n")
      set_source_files_properties(${source} PROPERTIES HEADER_FILE_ONLY ON)
    endif()
    list(LENGTH batch length)
    if(length GREATER_EQUAL SYNCLINE_BATCH OR (batch AND NOT source))
      list(JOIN batch "" text)
      file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/${name}_${number}.cpp CONTENT "${text}" @ONLY)
      list(APPEND all ${CMAKE_CURRENT_BINARY_DIR}/${name}_${number}.cpp)
      set(batch)
      math(EXPR number "${number} + 1")
    endif()
  endforeach()
  set(${out} ${all} PARENT_SCOPE)
endfunction()

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 reports impossible null dereferences inside inlined library code at -O2.
  target_compile_options(syncline_options INTERFACE -Wno-null-dereference)
else()
  # Clang builds the fuzzers only. Its own opinions are shown there and judged, they do not break that build.
  target_compile_options(syncline_options INTERFACE -Wno-error)
endif()

if(SYNCLINE_SANITIZE)
  set(SYNCLINE_JEMALLOC OFF)
  target_compile_options(syncline_options INTERFACE -fsanitize=${SYNCLINE_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(syncline_options INTERFACE -fsanitize=${SYNCLINE_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Instrumented code hides from GCC what is initialised: std::regex and std::function alone give false alarms.
    target_compile_options(syncline_options INTERFACE -Wno-maybe-uninitialized)
    if(SYNCLINE_SANITIZE MATCHES "thread")
      target_compile_options(syncline_options INTERFACE -Wno-tsan -Wno-mismatched-new-delete)
    endif()
  else()
    # Clang 14 marks the parts it splits a coroutine into for this check and then cannot assemble them.
    target_compile_options(syncline_options INTERFACE -fno-sanitize=function)
  endif()
endif()

# Code of tests, and all of it under a sanitizer, is not optimised further than its compilation pays back: -O2 takes twice
# as long, and with ASan and UBSan -O1 half as long again.
add_library(syncline_test_options INTERFACE)
target_compile_options(syncline_test_options INTERFACE -Og)
target_link_libraries(syncline_test_options INTERFACE syncline_options)

# A precompiled Asio awaitable header: a file with a coroutine otherwise costs 5 s.
function(syncline_use_tasks target)
  target_precompile_headers(${target} PRIVATE
    <boost/asio/awaitable.hpp> <boost/asio/io_context.hpp> <string> <vector> <memory> <functional> <chrono>)
endfunction()

# One static library per folder: what is not linked here cannot be called, so arrows between folders point down only.
function(syncline_library target)
  cmake_parse_arguments(arg "" "" "FOLDERS;LINK" ${ARGN})
  set(sources)
  foreach(folder ${arg_FOLDERS})
    file(GLOB found CONFIGURE_DEPENDS ${folder}/*.cpp ${folder}/*.h)
    list(APPEND sources ${found})
  endforeach()
  list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")
  if(NOT sources)  # a folder that holds only main.cpp, or nothing yet, is an empty library and no error
    set(sources ${CMAKE_CURRENT_BINARY_DIR}/no_sources.cpp)
    file(WRITE ${sources} "")
  endif()
  syncline_batches(sources ${target} ${sources})
  add_library(${target} STATIC ${sources})
  set_target_properties(${target} PROPERTIES LINKER_LANGUAGE CXX)
  target_link_libraries(${target} PUBLIC syncline_options ${arg_LINK})
endfunction()
