#include "raylet/objects/awaited_objects.h"

#include <utility>

namespace raylet {

bool AwaitedObjects::Remove(ProcessId process, const ObjectId& object) {
  const auto waiting = by_object_.find(object);
  if (waiting == by_object_.end() || waiting->second.erase(process) == 0) return false;
  const auto awaited = by_process_.find(process);
  awaited->second.erase(object);
  if (awaited->second.empty()) by_process_.erase(awaited);
  if (!waiting->second.empty()) return false;
  by_object_.erase(waiting);
  return true;
}

std::vector<ProcessId> AwaitedObjects::Sealed(const ObjectId& object) {
  const auto waiting = by_object_.find(object);
  if (waiting == by_object_.end()) return {};
  const std::vector<ProcessId> processes(waiting->second.begin(), waiting->second.end());
  for (const ProcessId process : processes) Remove(process, object);
  return processes;
}

std::vector<ObjectId> AwaitedObjects::ProcessGone(ProcessId process) {
  const auto awaited = by_process_.find(process);
  if (awaited == by_process_.end()) return {};
  std::vector<ObjectId> unwanted;
  for (const ObjectId& object : std::unordered_set<ObjectId>(awaited->second))
    if (Remove(process, object)) unwanted.push_back(object);
  return unwanted;
}

}  // namespace raylet
