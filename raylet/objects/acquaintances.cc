#include "raylet/objects/acquaintances.h"

#include <vector>

namespace raylet {

void Acquaintances::Meet(ProcessId one, ProcessId other) {
  if (one == other || !met_[one].insert(other).second) return;
  met_[other].insert(one);
  ++pairs_;
}

ProcessSet Acquaintances::Of(const ProcessSet& processes) const {
  ProcessSet all;
  const auto add = [&](ProcessId process) {
    if (const auto found = met_.find(process); found != met_.end())
      all.insert(found->second.begin(), found->second.end());
  };
  for (const ProcessId process : processes) {
    add(process);
    add(AllProcessesOf(MachineOf(process)));
  }
  return all;
}

void Acquaintances::Part(ProcessId one, ProcessId other) {
  const auto found = met_.find(one);
  found->second.erase(other);
  if (found->second.empty()) met_.erase(found);
}

void Acquaintances::Forget(const ProcessSet& processes) {
  for (const ProcessId process : processes) {
    const auto found = met_.find(process);
    if (found == met_.end()) continue;
    const ProcessSet others = std::move(found->second);
    met_.erase(found);
    pairs_ -= others.size();
    for (const ProcessId other : others) Part(other, process);
  }
}

void Acquaintances::MachineLost(MachineNumber machine) {
  const ProcessId all = AllProcessesOf(machine);
  ProcessSet there;
  for (const auto& [process, others] : met_)
    if (MachineOf(process) == machine && process != all) there.insert(process);
  const ProcessSet here = Of(there);
  Forget(there);
  for (const ProcessId process : here) Meet(process, all);
}

}  // namespace raylet
