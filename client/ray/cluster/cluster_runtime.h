// The runtime of a program that talks with a raylet: a driver's, or that of a worker. ray::Init chooses it unless
// local_mode is set.
#pragma once

#include <memory>

#include <ray/api/ray_config.h>
#include <ray/internal/runtime.h>

namespace raylet::client {

// A driver's: connects to config.address, or starts private daemons when it is empty. Throws RayException.
std::unique_ptr<ray::internal::Runtime> MakeClusterRuntime(const ray::RayConfig& config);

}  // namespace raylet::client
