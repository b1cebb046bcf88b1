// The options that tasks and actors take before Remote().
#pragma once

#include <string>
#include <unordered_map>

#include <ray/internal/runtime.h>

namespace ray {
namespace internal {

// RayException for an empty name, zero or less, and fractions above one.
RAYLET_API void CheckTaskOptions(const std::unordered_map<std::string, double>& resources);
RAYLET_API void CheckOptions(const CallOptions& options);

}  // namespace internal
}  // namespace ray
