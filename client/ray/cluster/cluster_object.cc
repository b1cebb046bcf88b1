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
    : ObjectState(&parts), use_(parts.link.uses()), parts_(parts), id_(id), owned_(owned) {}

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
  const bool taken = Finish(ObjectStatus::kStored, {}, nullptr, std::move(lend));
  // The task was cancelled, and has ended all the same.
  if (!taken && owned_ && status() == ObjectStatus::kFailed && parts_.link.Usable()) parts_.store.Delete(id_);
}
void ClusterObject::FulfilFailed(FailurePtr failure) {
  // The dead process may have sealed a value that it did not report.
  const bool died = failure->kind == wire::FailureKind::WorkerDied || failure->kind == wire::FailureKind::ActorDied;
  if (owned_ && died && failure->may_have_run && parts_.link.Usable()) parts_.store.Delete(id_);
  Finish(ObjectStatus::kFailed, {}, std::move(failure), nullptr);
}

bool ClusterObject::Finish(ObjectStatus status, std::string bytes, FailurePtr failure, ray::internal::Hold lend) {
  std::vector<std::function<void()>> callbacks;
  {
    const MutexLock lock(mutex_);
    if (ready()) return false;
    bytes_ = std::move(bytes);
    failure_ = std::move(failure);
    if (lend != nullptr) lend_ = std::move(lend);
    status_.store(status, std::memory_order_release);  // publishes the value to threads that see the status
    callbacks.swap(when_ready_);
  }
  for (auto& callback : callbacks) callback();
  return true;
}

// Of an owned object it is written before the status, which the caller has seen.
ray::internal::Hold ClusterObject::lend() const {
  if (owned_) return lend_;
  const MutexLock lock(mutex_);
  return owner_lend_ != nullptr ? owner_lend_ : lend_;
}

bool ClusterObject::WantsLend(bool of_owner) const {
  if (owned_) return false;
  const MutexLock lock(mutex_);
  return owner_lend_ == nullptr && (of_owner || lend_ == nullptr || claim_under_way());
}

void ClusterObject::AddLend(ray::internal::Hold lend, bool of_owner) {
  const MutexLock lock(mutex_);
  ray::internal::Hold& place = of_owner ? owner_lend_ : claim_under_way() ? lend_until_claimed_ : lend_;
  if (place == nullptr) place.swap(lend);  // another thread may have been first: then this one goes after the lock
}

void ClusterObject::AddClaim(ray::internal::Hold claim) {
  const MutexLock lock(mutex_);
  if (owner_lend_ != nullptr || lend_ != nullptr) return;   // another thread was first
  claim_under_way_.store(true, std::memory_order_release);  // another thread that finds the claim sees it
  lend_ = std::move(claim);
}

void ClusterObject::MarkClaimArrived() {
  ray::internal::Hold done;  // goes after the lock
  const MutexLock lock(mutex_);
  claim_under_way_.store(false, std::memory_order_release);  // others ask no more
  done.swap(lend_until_claimed_);
}

void ClusterObject::MarkLost(FailurePtr why) {
  if (owned_) return;
  std::vector<std::function<void()>> callbacks;
  {
    const MutexLock lock(mutex_);
    if (status() != ObjectStatus::kPending && status() != ObjectStatus::kStored) return;
    failure_ = std::move(why);                                        // nobody reads it before the status says so
    status_.store(ObjectStatus::kFailed, std::memory_order_release);  // publishes the failure
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

bool ClusterObject::BeginPromotion() {
  const MutexLock lock(mutex_);
  if (!owned_ || promoted_ || status() == ObjectStatus::kStored) return false;
  promoted_ = true;
  if (ready()) return true;
  parts_.progress.Add();
  when_ready_.push_back([this] { WriteSoon(); });
  return false;
}

void ClusterObject::WriteSoon() {
  if (WriteIfThereIsRoom())
    parts_.progress.Remove();
  else
    parts_.progress.WriteLater(shared_from_this());
}

void ClusterObject::PromoteSoon() {
  if (!BeginPromotion()) return;
  parts_.progress.Add();
  WriteSoon();
}

Result<void> ClusterObject::Promote() {
  if (!BeginPromotion()) return {};
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
    return parts_.store.Write(id_, {bytes, {}}, metadata, /*owner_client=*/0, room_patience_ms);
  };
  switch (status()) {
    case ObjectStatus::kInline: return store(bytes_, MetadataOf(bytes_, /*refers=*/lend_ != nullptr));
    case ObjectStatus::kFailed: return store(EncodeFailure(*failure_), {&kFailureMark, 1});
    default: return {};
  }
}

}  // namespace raylet::client
