// The GPUs of this machine as CUDA_VISIBLE_DEVICES names them. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "raylet/scheduling/devices_table.h"

namespace raylet {

using GpuNames = std::vector<std::string>;  // by device

constexpr const char* kVisibleDevices = "CUDA_VISIBLE_DEVICES";

// The names of the first `gpus` devices in the raylet's own `variable`; their numbers where it is not set. kInvalid,
// with a sentence: the variable names fewer, or one twice.
Result<GpuNames> NamesOfGpus(const std::optional<std::string>& variable, int64_t gpus);

// The variable of a process that has these devices: "0,1".
std::string VisibleDevices(const GpuNames& names, const DeviceIndexes& devices);

}  // namespace raylet
