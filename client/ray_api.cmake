# Appends to RAY_SOURCES.
list(APPEND RAY_SOURCES
  current_runtime.cc
  exceptions.cc
  function_registry.cc
  scopes.cc
  user_exception.cc)
