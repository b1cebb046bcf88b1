# Appends to RAY_SOURCES.
list(APPEND RAY_SOURCES
  actor_host.cc
  actor_link.cc
  call_arguments.cc
  call_channel.cc
  call_executor.cc
  cluster_core.cc
  cluster_object.cc
  cluster_runtime.cc
  failure.cc
  private_daemons.cc
  raylet_client.cc
  store_array.cc
  task_submitter.cc
  worker_loop.cc)
