// The runtime of local_mode: tasks and actors on threads of this process, without any daemon. Values become the same
// bytes as on a cluster. So a program that works here fails there only for reasons that lie in processes.
#pragma once

#include <memory>

#include <ray/api/ray_config.h>
#include <ray/internal/runtime.h>

namespace raylet::client {

std::unique_ptr<ray::internal::Runtime> MakeLocalRuntime(const ray::RayConfig& config);

// Whether the calling thread is one of local_mode's, and so runs a task or a method. Shutdown would wait for it.
bool OnThreadOfLocalMode();

}  // namespace raylet::client
