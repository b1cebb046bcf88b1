#include "raylet/node/visible_devices.h"

#include <algorithm>
#include <string_view>

#include "base/strings.h"

namespace raylet {
namespace {

// CUDA ends at the first word that names no device.
GpuNames NamesIn(std::string_view variable) {
  GpuNames names;
  while (true) {
    const size_t end = std::min(variable.find(','), variable.size());
    std::string_view word = variable.substr(0, end);
    word.remove_prefix(std::min(word.find_first_not_of(" \t"), word.size()));
    word = word.substr(0, word.find_last_not_of(" \t") + 1);
    if (word.empty() || word == "-1" || word == "NoDevFiles") return names;
    names.emplace_back(word);
    if (end == variable.size()) return names;
    variable.remove_prefix(end + 1);
  }
}

}  // namespace

Result<GpuNames> NamesOfGpus(const std::optional<std::string>& variable, int64_t gpus) {
  const auto wanted = static_cast<size_t>(gpus);
  GpuNames names;
  if (!variable) {
    for (size_t i = 0; i < wanted; ++i) names.push_back(std::to_string(i));
    return names;
  }
  names = NamesIn(*variable);
  if (names.size() < wanted) {
    return Fail(ErrorCode::kInvalid,
                StrCat("it is to offer ", wanted, " GPUs, and ", kVisibleDevices, "='", *variable, "' names ",
                       names.size(), ": offer fewer with --num-gpus, or name more in the variable"));
  }
  names.resize(wanted);
  for (auto name = names.begin(); name != names.end(); ++name) {
    if (std::find(names.begin(), name, *name) == name) continue;
    return Fail(ErrorCode::kInvalid,
                StrCat(kVisibleDevices, "='", *variable, "' names ", *name, " twice: name each GPU once"));
  }
  return names;
}

std::string VisibleDevices(const GpuNames& names, const DeviceIndexes& devices) {
  std::string visible;
  for (const uint32_t device : devices) {
    if (!visible.empty()) visible += ',';
    visible += names.at(device);
  }
  return visible;
}

}  // namespace raylet
