# The store client: its internals as a static library, for the daemon of tasks, the ray:: layer and tests; and what users
# link, raylet::plasma.
set(PLASMA_CLIENT_SOURCES
  fork_guard.cc
  mapped_arena.cc
  mapped_index.cc
  object_view.cc
  object_writer.cc
  pin_table.cc
  store_client.cc
  store_connection.cc
  store_session.cc
  store_watch.cc)
raylet_room(raylet_plasma_client
  SOURCES ${PLASMA_CLIENT_SOURCES}
  LINK raylet_fbs raylet_base)
