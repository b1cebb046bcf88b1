# wire_messages(OUT): the name of every table of the schemas that travels as a message. A new table
# in a schema so gets its tests and its fuzz target.
function(wire_messages out)
  # Parts of messages. Failure is one too, but it also travels alone, in call records and in failed
  # objects.
  set(parts Status Value Resource ActorSpec PeerResourceLine PeerHeld PeerIntroduced)
  set(names)
  foreach(schema common store raylet peer peer_channel peer_work peer_actor peer_object peer_group)
    set(path ${PROJECT_SOURCE_DIR}/fbs/${schema}.fbs)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${path})
    file(STRINGS ${path} lines REGEX "^table [A-Za-z0-9]+")
    foreach(line ${lines})
      string(REGEX REPLACE "^table ([A-Za-z0-9]+).*" "\\1" name ${line})
      list(APPEND names ${name})
    endforeach()
  endforeach()
  list(REMOVE_ITEM names ${parts})
  set(${out} ${names} PARENT_SCOPE)
endfunction()

# wire_message_list(TARGET): TARGET may include "wire_message_list.h". Its RAYLET_WIRE_MESSAGES(X)
# expands to X(Name) for each message.
function(wire_message_list target)
  wire_messages(names)
  set(text "// Made from fbs/*.fbs by tools/cmake/WireMessages.cmake.\n#define RAYLET_WIRE_MESSAGES(X)")
  foreach(name ${names})
    string(APPEND text " \\\n  X(${name})")
  endforeach()
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/generated)
  file(CONFIGURE OUTPUT ${folder}/wire_message_list.h CONTENT "${text}\n" @ONLY)
  target_include_directories(${target} PRIVATE ${folder})
endfunction()
