#include "client/ray/cluster/current_task.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/log.h"

namespace raylet::client {
namespace {

constexpr size_t kFirstLook = 64;

}  // namespace

void CurrentTask::Begin(const TaskId& id) {
  const MutexLock lock(mutex_);
  id_ = id;
  last_ = false;
  look_at_ = kFirstLook;
  cancelled_.store(false, std::memory_order_relaxed);
}

void CurrentTask::End() {
  std::vector<std::weak_ptr<ClusterObject>> children;
  const MutexLock lock(mutex_);
  if (last_) EndProcess();
  id_ = TaskId();
  children.swap(children_);
  cancelled_.store(false, std::memory_order_relaxed);
}

void CurrentTask::AddChild(const ClusterObjectPtr& result) {
  const MutexLock lock(mutex_);
  if (id_.IsNil()) return;
  children_.push_back(result);
  if (children_.size() < look_at_) return;
  std::erase_if(children_, [](const auto& child) {
    const ClusterObjectPtr object = child.lock();
    return object == nullptr || object->ready();
  });
  look_at_ = std::max(kFirstLook, 2 * children_.size());
}

bool CurrentTask::Cancel(const TaskId& id, bool last) {
  const MutexLock lock(mutex_);
  if (id_.IsNil() || id_ != id) return false;
  cancelled_.store(true, std::memory_order_relaxed);
  last_ = last_ || last;
  return true;
}

std::vector<ClusterObjectPtr> CurrentTask::TakeChildren() {
  std::vector<std::weak_ptr<ClusterObject>> children;
  {
    const MutexLock lock(mutex_);
    children.swap(children_);
  }
  std::vector<ClusterObjectPtr> waiting;
  for (const auto& child : children)
    if (ClusterObjectPtr object = child.lock(); object != nullptr && !object->ready())
      waiting.push_back(std::move(object));
  return waiting;
}

void CurrentTask::EndProcessIf(const TaskId& id) {
  const MutexLock lock(mutex_);
  if (!id_.IsNil() && id_ == id) EndProcess();
}

void CurrentTask::EndProcess() {
  RAYLET_LOG(kInfo, "this worker ends, because the owner of the task that it runs has cancelled it by force");
  std::fflush(nullptr);
  ::_exit(1);
}

}  // namespace raylet::client
