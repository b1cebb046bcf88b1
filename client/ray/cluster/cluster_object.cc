#include "client/ray/cluster/cluster_object.h"

#include "base/log.h"
#include "client/ray/cluster/ownership.h"
#include "client/ray/cluster/progress.h"
#include "client/ray/cluster/raylet_link.h"
#include "client/ray/cluster/references.h"
#include "client/ray/cluster/store_access.h"
#include "fbs/stored_value.h"

namespace raylet::client {

ClusterObject::ClusterObject(const ObjectParts& parts, const ObjectId& id, bool owned)
    : use_(parts.link.uses()), parts_(parts), id_(id), owned_(owned) {}

ClusterObject::~ClusterObject() {
  if (!parts_.link.Usable()) return;
  if (registered()) parts_.ownership.ForgetObject(id_);
  // A view that somebody still reads keeps the memory until it goes.
  if (owned_ && (promoted_ || status() == ObjectStatus::kStored)) parts_.store.Delete(id_);
}

void ClusterObject::FulfilInline(std::string bytes, ray::internal::Hold lend) {
  Finish(ObjectStatus::kInline, std::move(bytes), nullptr, std::move(lend));
}
void ClusterObject::FulfilStored(ray::internal::Hold lend) {
  Finish(ObjectStatus::kStored, {}, nullptr, std::move(lend));
}
void ClusterObject::FulfilFailed(FailurePtr failure) {
  // The dead process may have sealed a value that it did not report.
  const bool died = failure->kind == wire::FailureKind::WorkerDied || failure->kind == wire::FailureKind::ActorDied;
  if (owned_ && died && failure->may_have_run && parts_.link.Usable()) parts_.store.Delete(id_);
  Finish(ObjectStatus::kFailed, {}, std::move(failure), nullptr);
}

void ClusterObject::Finish(ObjectStatus status, std::string bytes, FailurePtr failure, ray::internal::Hold lend) {
  std::vector<std::function<void()>> callbacks;
  {
    const MutexLock lock(mutex_);
    if (ready()) return;
    bytes_ = std::move(bytes);
    failure_ = std::move(failure);
    if (lend != nullptr) lend_ = std::move(lend);
    status_.store(status, std::memory_order_release);  // publishes the value to threads that see the status
    callbacks.swap(when_ready_);
  }
  for (auto& callback : callbacks) callback();
}

void ClusterObject::OnReady(std::function<void()> callback) {
  {
    const MutexLock lock(mutex_);
    if (!ready()) {
      parts_.progress.Add();  // no thread need be waiting in Get
      when_ready_.push_back([this, callback = std::move(callback)] {
        callback();
        parts_.progress.Remove();
      });
      return;
    }
  }
  callback();
}

Result<void> ClusterObject::Promote() {
  {
    const MutexLock lock(mutex_);
    if (!owned_ || promoted_ || status() == ObjectStatus::kStored) return {};
    promoted_ = true;
    if (!ready()) {
      parts_.progress.Add();
      when_ready_.push_back([this] {
        if (WriteIfThereIsRoom())
          parts_.progress.Remove();
        else
          parts_.progress.WriteLater(shared_from_this());
      });
      return {};
    }
  }
  auto written = WriteToStore(kRoomPatienceMs);
  if (!written) {
    const MutexLock lock(mutex_);
    promoted_ = false;
  }
  return written;
}

bool ClusterObject::WriteIfThereIsRoom() {
  const auto written = WriteToStore(0);
  if (written) return true;
  if (written.error().code == ErrorCode::kFull) return false;
  RAYLET_LOG(kError, "object ", id_.hex(), ": others wait for it in vain: ", written.error().message);
  return true;
}

Result<void> ClusterObject::WriteToStore(int64_t room_patience_ms) {
  const auto store = [&](std::string_view bytes, std::string_view metadata) {
    return parts_.store.Write(id_, bytes, metadata, /*owner_client=*/0, room_patience_ms);
  };
  switch (status()) {
    case ObjectStatus::kInline: return store(bytes_, MetadataOf(bytes_, /*refers=*/lend_ != nullptr));
    case ObjectStatus::kFailed: return store(EncodeFailure(*failure_), {&kFailureMark, 1});
    default: return {};
  }
}

}  // namespace raylet::client
