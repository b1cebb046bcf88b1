# Appends to RAY_SOURCES.
list(APPEND RAY_SOURCES
  api_config.cc
  array.cc
  current_runtime.cc
  exceptions.cc
  function_names.cc
  function_registry.cc
  init.cc
  invoke.cc
  local_actor.cc
  local_runtime.cc
  local_store.cc
  local_threads.cc
  ray_log.cc
  scopes.cc
  serializer.cc
  task_options.cc
  user_exception.cc)
