# The compiler settings of every target.
include(GNUInstallDirs)
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME raylet)

option(RAYLET_BUILD_TESTS "Build tests and benchmarks" OFF)
option(RAYLET_FUZZ "Build the fuzz targets (clang only)" OFF)
set(RAYLET_TEST_ROOMS "" CACHE STRING "Folders of tests/ to build, in order; empty: all")
set(RAYLET_SANITIZE "" CACHE STRING "Sanitizers, as after -fsanitize=")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()
if(RAYLET_SANITIZE)
  set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O1 -g1")  # a third less to compile, and the sanitizers see more
else()
  set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1")
endif()

# Programs in bin/, libraries in lib/, in the build tree as in the install prefix.
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
set(CMAKE_INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")

find_program(RAYLET_CCACHE ccache)
if(RAYLET_CCACHE)
  # Without these two, ccache keeps nothing that is compiled with precompiled headers.
  set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_SLOPPINESS=pch_defines,time_macros ${RAYLET_CCACHE})
endif()

add_compile_definitions(RAYLET_VERSION="${PROJECT_VERSION}")
add_compile_definitions(_FILE_OFFSET_BITS=64)  # hiredis wants it, and precompiled headers want it everywhere
add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Werror -fno-omit-frame-pointer)
if(RAYLET_SANITIZE)
  add_compile_options(-fsanitize=${RAYLET_SANITIZE})
  # For tests that measure memory or descriptors: the sanitizers' run-time libraries use both.
  add_compile_definitions(RAYLET_SANITIZED)
  if(RAYLET_SANITIZE MATCHES "address")
    add_compile_definitions(RAYLET_SANITIZED_ADDRESS)
  endif()
  if(RAYLET_FUZZ)
    add_link_options(-fsanitize=address,undefined)
  else()
    add_link_options(-fsanitize=${RAYLET_SANITIZE})
  endif()
  if(RAYLET_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=undefined)
  endif()
  if(RAYLET_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-tsan)  # gcc warns that it does not model atomic_thread_fence; store/index tests cover it
  endif()
endif()

# Compiles several sources as one, because reading headers is most of the work. Used for tests, and
# for the rooms where RAYLET_UNITE says so. A developer's build compiles each source of a room alone,
# so that it finds a missing #include and builds little again after a change.
if(RAYLET_SANITIZE OR NOT RAYLET_BUILD_TESTS)
  set(unite_rooms ON)
else()
  set(unite_rooms OFF)
endif()
option(RAYLET_UNITE "Compile up to 32 sources of a room as one" ${unite_rooms})
if(RAYLET_UNITE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # A twelfth of the time goes into a search for what the compiler could forget. A united source needs most of it to
  # its end. In KiB.
  add_compile_options(--param=ggc-min-heapsize=1000000)
endif()
function(raylet_unite target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${target} PRIVATE -Wno-subobject-linkage)  # the united sources share their private types
  endif()
endfunction()

# Where rooms are united, the compiler reads the wire headers once for all rooms that use them. A build of single
# sources does without, so that it finds a missing #include.
set(raylet_precompile OFF)
if(RAYLET_UNITE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(raylet_precompile ON)
endif()
# With the first, ccache knows what is included. gcc does not know any more which headers are the system's, and warns of
# the standard library.
set(precompile_options -fpch-preprocess -Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread -Wno-restrict)

# raylet_precompile_wire_headers(HEADERS…): by the room fbs, for itself and for the rooms above it.
function(raylet_precompile_wire_headers)
  if(raylet_precompile)
    target_precompile_headers(raylet_fbs PRIVATE ${ARGN})
    target_compile_options(raylet_fbs PRIVATE ${precompile_options})
  endif()
endfunction()

function(raylet_use_wire_headers target)
  if(raylet_precompile)
    target_precompile_headers(${target} REUSE_FROM raylet_fbs)
    target_compile_options(${target} PRIVATE ${precompile_options})
  endif()
endfunction()

function(raylet_unite_room target)
  if(RAYLET_UNITE)
    raylet_unite(${target})
    # Most of the time goes into headers. So many sources at once take up to 1.8 GB of memory.
    get_target_property(sources ${target} SOURCES)
    list(LENGTH sources count)
    math(EXPR parts "(${count} + 31) / 32")
    math(EXPR batch "(${count} + ${parts} - 1) / ${parts}")
    set_target_properties(${target} PROPERTIES UNITY_BUILD_BATCH_SIZE ${batch})
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      # gcc inlines more there, and then takes the alternatives of a variant for uninitialized.
      target_compile_options(${target} PRIVATE -Wno-maybe-uninitialized)
    endif()
  endif()
endfunction()

# raylet_room_target(ROOM OUT): the name of a room's library: raylet_node for raylet/node,
# raylet_client_plasma for client/plasma. The room raylet is raylet_daemon, because its program is
# named raylet.
function(raylet_room_target room out)
  string(REGEX REPLACE "^raylet/" "" name ${room})
  string(REPLACE "/" "_" name ${name})
  string(REGEX REPLACE "^raylet$" "daemon" name ${name})
  set(${out} raylet_${name} PARENT_SCOPE)
endfunction()

# raylet_built_in(ROOM OUT): the room whose library holds this one: itself or, where rooms are united, the program's.
# raylet/status is apart: it is what another process prints, in words that the daemon has, too.
set(programs raylet store client/ray)
if(NOT RAYLET_UNITE)
  set(programs)
endif()
function(raylet_built_in room out)
  set(${out} ${room} PARENT_SCOPE)
  foreach(program IN LISTS programs)
    if(room MATCHES "^${program}/" AND NOT room STREQUAL "raylet/status")
      set(${out} ${program} PARENT_SCOPE)
    endif()
  endforeach()
endfunction()

# raylet_room_links(ROOM OUT): the libraries that tools/layers allows the room.
# A room of headers has no library.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tools/layers)
function(raylet_room_links room out)
  file(STRINGS ${PROJECT_SOURCE_DIR}/tools/layers lines REGEX "^${room}:")
  if(NOT lines)
    message(FATAL_ERROR "the room ${room} is not in tools/layers: say there what it may use")
  endif()
  string(REGEX REPLACE "^[^:]*: *" "" rooms "${lines}")
  separate_arguments(rooms)
  list(REMOVE_ITEM rooms uv client/include)
  set(links)
  foreach(used ${rooms})
    raylet_built_in(${used} used)
    raylet_room_target(${used} target)
    list(APPEND links ${target})
  endforeach()
  set(${out} ${links} PARENT_SCOPE)
endfunction()

# raylet_reaches_fbs(LINKS OUT): whether one of these libraries is that of fbs, or is linked with it.
function(raylet_reaches_fbs links out)
  set(${out} OFF PARENT_SCOPE)
  foreach(link IN LISTS links)
    set(reaches OFF)
    if(link STREQUAL raylet_fbs)
      set(reaches ON)
    elseif(TARGET ${link})
      get_target_property(below ${link} INTERFACE_LINK_LIBRARIES)
      raylet_reaches_fbs("${below}" reaches)
    endif()
    if(reaches)
      set(${out} ON PARENT_SCOPE)
      return()
    endif()
  endforeach()
endfunction()

# raylet_room(ROOM [OBJECTS] SOURCES... [INCLUDE...] [LINK...] [LINK_PRIVATE...]): the library of a room, linked
# with the rooms that tools/layers allows. LINK and LINK_PRIVATE are packages. Headers are included
# from the top: "room/x.h"; INCLUDE is a folder of generated ones. OBJECTS makes an object library, for the parts of the shared libraries.
function(raylet_room room)
  cmake_parse_arguments(ROOM "OBJECTS" "" "SOURCES;INCLUDE;LINK;LINK_PRIVATE" ${ARGN})
  raylet_room_links(${room} ROOM_ROOMS)
  list(TRANSFORM ROOM_SOURCES PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
  raylet_built_in(${room} built)
  foreach(part SOURCES INCLUDE ROOMS LINK LINK_PRIVATE)
    set_property(GLOBAL APPEND PROPERTY "RAYLET_${part}_${built}" ${ROOM_${part}})
    get_property(ROOM_${part} GLOBAL PROPERTY "RAYLET_${part}_${built}")
  endforeach()
  raylet_room_target(${room} name)
  if(NOT built STREQUAL room)  # the program comes behind its rooms
    raylet_room_target(${built} program)
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE ${program})
    return()
  endif()
  set(kind STATIC)
  if(ROOM_OBJECTS)
    set(kind OBJECT)
  endif()
  set(links ${ROOM_ROOMS})
  list(REMOVE_DUPLICATES links)
  list(REMOVE_ITEM links ${name})
  add_library(${name} ${kind} ${ROOM_SOURCES})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR} PRIVATE ${ROOM_INCLUDE})
  target_link_libraries(${name} PUBLIC ${links} ${ROOM_LINK} PRIVATE ${ROOM_LINK_PRIVATE})
  raylet_unite_room(${name})
  raylet_reaches_fbs("${links}" above_fbs)
  if(above_fbs)
    raylet_use_wire_headers(${name})
  endif()
endfunction()

# Of a test that says nothing. Daemons and workers wait for each other: such a test uses a fifth of a core.
set(RAYLET_TEST_SLOTS 2)
if(RAYLET_SANITIZE)
  set(RAYLET_TEST_SLOTS 3)
endif()
set(RAYLET_BUSY_SLOTS 3)  # of one that computes

# raylet_suites(NAME SUITES [SLOTS number] [COST seconds] [TIMEOUT seconds]): settings of some suites of
# the test program NAME, before it is made. SUITES is a list; a name may hold *.
function(raylet_suites name suites)
  cmake_parse_arguments(S "" "SLOTS;COST;TIMEOUT" "" ${ARGN})
  list(TRANSFORM suites APPEND ".*")
  list(JOIN suites ":" filter)
  foreach(setting SLOTS COST TIMEOUT)
    if(NOT S_${setting})
      set(S_${setting} -)
    endif()
  endforeach()
  set_property(GLOBAL APPEND PROPERTY RAYLET_SUITES_${name} "${filter} ${S_SLOTS} ${S_COST} ${S_TIMEOUT}")
endfunction()

# raylet_one_thread(NAME TESTS…): tests of the program NAME, before it is made, in which one thread does
# everything. The thread sanitizer can find nothing there, so its build leaves them out.
function(raylet_one_thread name)
  if(RAYLET_SANITIZE MATCHES "thread")
    set_property(GLOBAL APPEND PROPERTY RAYLET_LEFT_OUT_${name} ${ARGN})
  endif()
endfunction()

# raylet_discover_tests(NAME TIMEOUT LABELS): the last step of a function that makes a test program.
# One ctest entry per test. SLOTS, COST and TIMEOUT are those of raylet_suites, or the function's own
# T_SLOTS, T_COST and T_TIMEOUT, or usual ones.
macro(raylet_discover_tests name timeout labels)
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT ${timeout})
  endif()
  if(NOT T_SLOTS)
    set(T_SLOTS ${RAYLET_TEST_SLOTS})
  endif()
  if(NOT T_COST)
    set(T_COST 1)
  endif()
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  get_property(groups GLOBAL PROPERTY RAYLET_SUITES_${name})
  get_property(left_out GLOBAL PROPERTY RAYLET_LEFT_OUT_${name})
  set(rest *-)  # a filter: all but these
  foreach(test IN LISTS left_out)
    string(APPEND rest "${test}:")
  endforeach()
  foreach(group IN LISTS groups)
    string(REGEX REPLACE " .*" ":" filter "${group}")
    string(APPEND rest "${filter}")
  endforeach()
  foreach(group IN LISTS groups ITEMS "${rest} - - -")
    string(REPLACE " " ";" group "${group}")
    list(POP_FRONT group filter slots cost seconds)
    string(REPLACE "-" "${T_SLOTS}" slots ${slots})
    string(REPLACE "-" "${T_COST}" cost ${cost})
    string(REPLACE "-" "${T_TIMEOUT}" seconds ${seconds})
    gtest_discover_tests(${name} TEST_FILTER "${filter}" DISCOVERY_TIMEOUT 60
      PROPERTIES PROCESSORS ${slots} COST ${cost} TIMEOUT ${seconds} LABELS "${labels}" ENVIRONMENT "RAYLET_BIN_DIR=${CMAKE_BINARY_DIR}/bin")
  endforeach()
endmacro()

# For the programs of tests with <ray/api.h>, and the objects in them: the compiler reads it and GoogleTest once for all
# of them. Where sources are not united, each does without, so that a missing #include is found.
function(raylet_use_ray_headers name)
  if(NOT raylet_precompile)
    return()
  endif()
  if(NOT TARGET ray_test_headers)
    file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/ray_test_headers.cc CONTENT "")
    add_library(ray_test_headers OBJECT ${CMAKE_CURRENT_BINARY_DIR}/ray_test_headers.cc)
    target_link_libraries(ray_test_headers PRIVATE raylet_ray_client GTest::gtest)
    target_precompile_headers(ray_test_headers PRIVATE <gtest/gtest.h> <nlohmann/json.hpp> <ray/api.h>)
    target_compile_options(ray_test_headers PRIVATE ${precompile_options} -fPIE)  # as the programs that use them
  endif()
  target_precompile_headers(${name} REUSE_FROM ray_test_headers)
  target_compile_options(${name} PRIVATE ${precompile_options} -fPIE
    $<TARGET_PROPERTY:GTest::gtest,INTERFACE_COMPILE_OPTIONS>)
endfunction()

# raylet_test(NAME SOURCES... [ONE_THREAD...] LINK... [LABELS...] [TIMEOUT seconds] [COST seconds]
# [SLOTS number] [ALONE...]): one GoogleTest program, one ctest entry per test. COST: long tests start first, so that
# none is left alone at the end. SLOTS: of the four that a core has for tests; 1 for a test that
# mostly waits, 4 for one that keeps a core busy. ALONE: sources that are compiled alone,
# because the others use their names. ONE_THREAD: sources whose tests have one thread alone. The thread
# sanitizer can find nothing there, so its build leaves them out.
function(raylet_test name)
  cmake_parse_arguments(T "" "TIMEOUT;COST;SLOTS" "SOURCES;ONE_THREAD;LINK;LABELS;ALONE" ${ARGN})
  if(RAYLET_SANITIZE MATCHES "thread")
    set(T_ONE_THREAD)
  endif()
  if(NOT T_LABELS)
    set(T_LABELS quick)  # an empty value would swallow the property behind it
  endif()
  add_executable(${name} ${T_SOURCES} ${T_ONE_THREAD})
  target_link_libraries(${name} PRIVATE ${T_LINK} GTest::gtest GTest::gtest_main Threads::Threads)
  raylet_unite(${name})
  set_source_files_properties(${T_ALONE} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  if(raylet_ray_client IN_LIST T_LINK)
    raylet_use_ray_headers(${name})
  endif()
  raylet_discover_tests(${name} 60 "${T_LABELS}")
endfunction()
