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

bool AwaitedObjects::ProcessGone(ProcessId process, size_t most, std::vector<ObjectId>& unwanted) {
  for (; most > 0; --most) {
    const auto awaited = by_process_.find(process);
    if (awaited == by_process_.end()) return true;
    const ObjectId object = *awaited->second.begin();
    if (Remove(process, object)) unwanted.push_back(object);
  }
  return !by_process_.contains(process);
}

}  // namespace raylet
